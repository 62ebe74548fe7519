package recordings

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// answerSize is room for an answer with 24 links.
const answerSize = 14 << 10

// writer writes the 200 of the day endpoint: by hand, since 24 links by reflection take longer
// than counting them. The order of the fields is the wire's.
type writer struct{ b []byte }

// name begins a field.
func (w *writer) name(name string) { w.b = append(append(append(w.b, '"'), name...), `":`...) }

// text writes a string field and what separates it from the next.
func (w *writer) text(name, value string) {
	w.name(name)
	w.b = append(appendText(w.b, value), ',')
}

// textOrNull is text, null for "".
func (w *writer) textOrNull(name, value string) {
	if value == "" {
		w.name(name)
		w.b = append(w.b, `null,`...)
		return
	}
	w.text(name, value)
}

func (w *writer) number(name string, value int64) {
	w.name(name)
	w.b = append(strconv.AppendInt(w.b, value, 10), ',')
}

func (w *writer) truth(name string, value bool) {
	w.name(name)
	w.b = append(strconv.AppendBool(w.b, value), ',')
}

// end replaces the last separator.
func (w *writer) end(with string) { w.b = append(w.b[:len(w.b)-1], with...) }

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			quoted, _ := json.Marshal(s) //nolint:errchkjson // a string always has JSON
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// timeOrNothing is web.Time, "" for the zero time.
func timeOrNothing(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return web.Time(t)
}

// served gives the archive that an hour's link is for; nil while there is none.
func served(hour *catalog.HourView) *catalog.ArchiveView {
	if hour.State != catalog.StateAvailable {
		return nil
	}
	return hour.Archive
}

// answer writes down what was issued; sums are those of the links.
func (h *handler) answer(ctx context.Context, w *writer, issued *catalog.IssuedDay) {
	v := issued.View
	var files, size int64
	for i := range v.Hours {
		if a := served(&v.Hours[i]); a != nil {
			files += int64(a.Files)
			size += a.Size
		}
	}
	expires := ""
	if !v.Completed.IsZero() {
		expires = timeOrNothing(issued.RetentionEnd)
	}
	w.b = append(w.b[:0], '{')
	w.text("date", string(v.Day))
	w.number("totalSessions", v.Sessions)
	w.number("totalFiles", files)
	w.number("totalSizeBytes", size)
	w.textOrNull("generatedAt", timeOrNothing(v.Completed))
	w.number("retentionDays", int64(issued.RetentionDays))
	w.textOrNull("expiresAt", expires)
	w.name("links")
	w.b = append(w.b, '[')
	until := timeOrNothing(issued.LinksEnd)
	for i := range v.Hours {
		h.link(ctx, w, issued, &v.Hours[i], until)
	}
	w.end("]}\n")
}

// link writes one element of links.
func (h *handler) link(ctx context.Context, w *writer, issued *catalog.IssuedDay, hour *catalog.HourView, until string) {
	key := domain.HourKey{Tenant: issued.View.Tenant, Day: issued.View.Day, Hour: hour.Hour}
	archive, revision, hh := served(hour), hour.Revision, key.HH()
	w.b = append(w.b, '{')
	w.text("hour", hh)
	w.name("url")
	if archive == nil {
		archive, until = &catalog.ArchiveView{}, ""
		w.b = append(w.b, `null,`...)
	} else {
		revision = archive.Revision
		w.b = append(append(w.b, h.address...), key.Day...)
		w.b = append(append(append(w.b, '/'), hh...), `/download?token=`...)
		w.b = h.deps.Links.AppendLink(ctx, w.b, auth.Link{HourKey: key, Revision: revision, Archive: archive.Token, Expires: issued.LinksEnd})
		w.b = append(w.b, `",`...)
	}
	w.number("sessionCount", int64(archive.Sessions))
	w.number("fileCount", int64(archive.Files))
	w.number("sizeBytes", archive.Size)
	w.text("status", hour.State)
	w.textOrNull("urlExpiresAt", until)
	w.textOrNull("manifestSha256", archive.ManifestSHA256)
	w.number("revision", revision)
	w.truth("rebuilding", served(hour) != nil && hour.Rebuilding)
	w.number("missingFileCount", int64(archive.MissingCount))
	w.end("},")
}

// send writes a 200 with a body that is JSON already.
func send(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // a caller that is gone needs no answer
}
