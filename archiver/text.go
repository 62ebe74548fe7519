package archiver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// chunk is the size that generated text is written in.
const chunk = 64 << 10

// text collects generated text and writes it in chunks. Its first error stays.
type text struct {
	w   io.Writer
	buf []byte
	err error
}

func newText(w io.Writer) *text { return &text{w: w, buf: make([]byte, 0, chunk+8<<10)} }

func (t *text) flush() error {
	if t.err == nil && len(t.buf) > 0 {
		_, t.err = t.w.Write(t.buf)
	}
	t.buf = t.buf[:0]
	return t.err
}

func (t *text) raw(s string) {
	if len(t.buf) >= chunk {
		t.flush() //nolint:errcheck // kept in t.err, which the last flush returns
	}
	t.buf = append(t.buf, s...)
}

// member starts a line with a key of an object; its value and what follows
// come next.
func (t *text) member(indent, key string) *text {
	t.raw(indent)
	t.buf = append(append(append(t.buf, '"'), key...), `": `...)
	return t
}

// quoted appends s as JSON. Bytes that are not UTF-8 become U+FFFD.
func (t *text) quoted(s, after string) {
	t.buf = append(t.buf, '"')
	if plainJSON(s) {
		t.buf = append(t.buf, s...)
	} else {
		t.buf = append(t.buf, escape(s)...)
	}
	t.buf = append(append(t.buf, '"'), after...)
}

func (t *text) integer(n int64, after string) {
	t.buf = append(strconv.AppendInt(t.buf, n, 10), after...)
}

// instant appends a time in UTC, cut to whole seconds.
func (t *text) instant(at time.Time, after string) {
	t.buf = at.UTC().AppendFormat(append(t.buf, '"'), "2006-01-02T15:04:05Z")
	t.buf = append(append(t.buf, '"'), after...)
}

// plainJSON reports whether s needs no escapes.
func plainJSON(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// escape returns s as it stands between the quotes of JSON.
func escape(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string can always be encoded
		return ""
	}
	return strings.TrimSuffix(b.String(), "\"\n")[1:]
}

// writeMetadata writes metadata.json. Keys and their order are the contract
// with everyone who unpacks these ZIPs.
func (p *plan) writeMetadata(w io.Writer) error {
	t := newText(w)
	t.raw("{\n")
	t.member("  ", "generatedAt").instant(p.hour.GeneratedAt, ",\n")
	t.member("  ", "utcDay").quoted(p.hour.Day, ",\n")
	t.member("  ", "hour").quoted(fmt.Sprintf("%02d", p.hour.Hour), ",\n")
	t.member("  ", "totalSessions").integer(int64(len(p.folders)), ",\n")
	t.raw("  \"sessions\": [\n")
	for i := range p.folders {
		p.writeSession(t, &p.folders[i], comma(i, len(p.folders)))
	}
	t.raw("  ]")
	if len(p.missing) > 0 {
		t.raw(",\n  \"missingFiles\": [\n")
		for i, m := range p.missing {
			t.raw("    {\n")
			t.member("      ", "originalPath").quoted(m.Key, ",\n")
			t.member("      ", "messageId").integer(m.MessageID, ",\n")
			t.member("      ", "reason").quoted(string(m.Reason), "\n")
			t.raw("    }" + comma(i, len(p.missing)))
		}
		t.raw("  ]")
	}
	t.raw("\n}\n")
	return t.flush()
}

func (p *plan) writeSession(t *text, f *folder, after string) {
	t.raw("    {\n")
	t.member("      ", "externalConversationId").quoted(f.externalID, ",\n")
	t.member("      ", "sessionId").quoted(f.sessionID, ",\n")
	t.raw("      \"files\": [\n")
	const indent = "          "
	for i, n := range f.items {
		it := &p.items[n]
		e := it.entry
		t.raw("        {\n")
		t.member(indent, "fileName").quoted(it.file, ",\n")
		t.member(indent, "originalPath").quoted(e.Key, ",\n")
		t.member(indent, "messageId").integer(e.MessageID, ",\n")
		t.member(indent, "type").quoted(e.Type, ",\n")
		t.member(indent, "timestamp").instant(e.Timestamp, ",\n")
		t.member(indent, "originalSizeBytes").integer(e.Size, "\n")
		t.raw("        }" + comma(i, len(f.items)))
	}
	t.raw("      ]\n    }" + after)
}

// comma ends element i of n.
func comma(i, n int) string {
	if i == n-1 {
		return "\n"
	}
	return ",\n"
}

// sumLineSize returns the length of an entry's line in SHA256SUMS.
func sumLineSize(r record) int64 {
	return int64(hex.EncodedLen(sha256.Size) + len("  ") + r.nameSize() + len("\n"))
}

// writeSums writes SHA256SUMS, which covers every other entry. Safe names
// never need the escapes that sha256sum has for line ends and backslashes.
func (p *plan) writeSums(w io.Writer) error {
	t := newText(w)
	line := func(sum *[sha256.Size]byte, r record) {
		t.raw("")
		t.buf = hex.AppendEncode(t.buf, sum[:])
		t.buf = append(t.buf, ' ', ' ')
		t.buf = append(r.appendName(t.buf), '\n')
	}
	line(&p.metadataSum, p.metadata)
	for i := range p.items {
		line(&p.items[i].sum, p.record(&p.items[i]))
	}
	return t.flush()
}

// writeDirectory writes the central directory and the records that end a ZIP.
func (p *plan) writeDirectory(w io.Writer) error {
	t := newText(w)
	line := func(r record) {
		t.raw("")
		t.buf = r.appendCentral(t.buf)
	}
	line(p.metadata)
	for i := range p.items {
		line(p.record(&p.items[i]))
	}
	line(p.sums)
	t.buf = p.end.append(t.buf)
	return t.flush()
}
