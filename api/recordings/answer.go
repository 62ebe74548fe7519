package recordings

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// answerSize is room for an answer with 24 links.
const answerSize = 14 << 10

// page is an answer of the day endpoint but for what differs from one to the next: it serves all
// while the day stands as it is. It is written by hand, since 24 links by reflection take longer
// than counting them. The order of the fields is the wire's.
type page struct {
	day       catalog.DayKey
	completed bool
	text      []byte
	blanks    []blank // in the order of the text
}

// blank is a place of a page that each answer fills in.
type blank struct {
	at   int // in the page's text
	kind blankKind

	hour     int8 // of a blankLink, as what follows
	revision int64
	archive  string // its token
}

type blankKind uint8

const (
	blankDays blankKind = iota // days of retention
	blankEnd                   // when retention ends
	blankLink                  // a link's token
	blankTill                  // when the links end
)

// writer writes a page.
type writer struct {
	b      []byte
	blanks []blank
}

// blank leaves a place open.
func (w *writer) blank(b blank) {
	b.at = len(w.b)
	w.blanks = append(w.blanks, b)
}

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

// timeOrNull is a time's field.
func (w *writer) timeOrNull(name string, t time.Time) {
	w.name(name)
	w.b = append(append(w.b, quoted(t)...), ',')
}

func (w *writer) number(name string, value int64) {
	w.name(name)
	w.b = append(strconv.AppendInt(w.b, value, 10), ',')
}

func (w *writer) truth(name string, value bool) {
	w.name(name)
	w.b = append(strconv.AppendBool(w.b, value), ',')
}

// open is a field that answers fill in.
func (w *writer) open(name string, kind blankKind) {
	w.name(name)
	w.blank(blank{kind: kind})
	w.b = append(w.b, ',')
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

// quoted is a time as a JSON string, null for the zero time.
func quoted(t time.Time) string {
	if t.IsZero() {
		return "null"
	}
	return `"` + web.Time(t) + `"`
}

// served gives the archive that an hour's link is for; nil while there is none.
func served(hour *catalog.HourView) *catalog.ArchiveView {
	if hour.State != catalog.StateAvailable {
		return nil
	}
	return hour.Archive
}

// page writes what a day's answers have in common; sums are those of the links.
func (h *handler) page(v *catalog.DayView) *page {
	var files, size int64
	for i := range v.Hours {
		if a := served(&v.Hours[i]); a != nil {
			files += int64(a.Files)
			size += a.Size
		}
	}
	w := &writer{b: append(make([]byte, 0, answerSize), '{')}
	w.text("date", string(v.Day))
	w.number("totalSessions", v.Sessions)
	w.number("totalFiles", files)
	w.number("totalSizeBytes", size)
	w.timeOrNull("generatedAt", v.Completed)
	w.open("retentionDays", blankDays)
	w.open("expiresAt", blankEnd)
	w.name("links")
	w.b = append(w.b, '[')
	for i := range v.Hours {
		h.link(w, v, &v.Hours[i])
	}
	w.end("]}\n")
	return &page{day: v.DayKey, completed: !v.Completed.IsZero(), text: bytes.Clone(w.b), blanks: slices.Clone(w.blanks)}
}

// link writes one element of links.
func (h *handler) link(w *writer, v *catalog.DayView, hour *catalog.HourView) {
	archive, revision, hh := served(hour), hour.Revision, domain.HourKey{Hour: hour.Hour}.HH()
	available := archive != nil
	w.b = append(w.b, '{')
	w.text("hour", hh)
	w.name("url")
	if available {
		revision = archive.Revision
		w.b = append(append(w.b, h.address...), v.Day...)
		w.b = append(append(append(w.b, '/'), hh...), `/download?token=`...)
		w.blank(blank{kind: blankLink, hour: int8(hour.Hour), revision: revision, archive: archive.Token})
		w.b = append(w.b, `",`...)
	} else {
		archive = &catalog.ArchiveView{}
		w.b = append(w.b, `null,`...)
	}
	w.number("sessionCount", int64(archive.Sessions))
	w.number("fileCount", int64(archive.Files))
	w.number("sizeBytes", archive.Size)
	w.text("status", hour.State)
	if available {
		w.open("urlExpiresAt", blankTill)
	} else {
		w.timeOrNull("urlExpiresAt", time.Time{})
	}
	w.textOrNull("manifestSha256", archive.ManifestSHA256)
	w.number("revision", revision)
	w.truth("rebuilding", available && hour.Rebuilding)
	w.number("missingFileCount", int64(archive.MissingCount))
	w.end("},")
}

// answer fills a page in, behind what b holds.
func (h *handler) answer(ctx context.Context, b []byte, issued *catalog.IssuedDay) []byte {
	p, _ := issued.Made.(*page) // day made it
	links := h.deps.Links.LinkSigner(ctx)
	till, end := quoted(issued.LinksEnd), "null"
	if p.completed {
		end = quoted(issued.RetentionEnd)
	}
	from, key := 0, domain.HourKey{Tenant: p.day.Tenant, Day: p.day.Day}
	for i := range p.blanks {
		place := &p.blanks[i]
		b = append(b, p.text[from:place.at]...)
		switch from = place.at; place.kind {
		case blankDays:
			b = strconv.AppendInt(b, int64(issued.RetentionDays), 10)
		case blankEnd:
			b = append(b, end...)
		case blankTill:
			b = append(b, till...)
		case blankLink:
			key.Hour = int(place.hour)
			b = links.Append(b, auth.Link{HourKey: key, Revision: place.revision, Archive: place.archive, Expires: issued.LinksEnd})
		}
	}
	return append(b, p.text[from:]...)
}

// send writes a 200 with a body that is JSON already.
func send(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // a caller that is gone needs no answer
}
