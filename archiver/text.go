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

// chunkSize is how many bytes of generated text are written at once.
const chunkSize = 64 << 10

// textWriter collects generated text and writes it in chunks. It keeps the first error.
type textWriter struct {
	w   io.Writer
	buf []byte
	err error
}

func newTextWriter(w io.Writer) *textWriter {
	return &textWriter{w: w, buf: make([]byte, 0, chunkSize+8<<10)}
}

func (t *textWriter) flush() error {
	if t.err == nil && len(t.buf) > 0 {
		_, t.err = t.w.Write(t.buf)
	}
	t.buf = t.buf[:0]
	return t.err
}

func (t *textWriter) write(s string) {
	if len(t.buf) >= chunkSize {
		t.flush() //nolint:errcheck // kept in t.err, which the last flush returns
	}
	t.buf = append(t.buf, s...)
}

// key starts a line with a key of a JSON object.
func (t *textWriter) key(indent, key string) *textWriter {
	t.write(indent)
	t.buf = append(append(append(t.buf, '"'), key...), `": `...)
	return t
}

// quoted appends s as a JSON string, and after. Bytes that are not UTF-8 become U+FFFD.
func (t *textWriter) quoted(s, after string) {
	t.buf = append(t.buf, '"')
	if plainJSON(s) {
		t.buf = append(t.buf, s...)
	} else {
		t.buf = append(t.buf, escape(s)...)
	}
	t.buf = append(append(t.buf, '"'), after...)
}

func (t *textWriter) integer(n int64, after string) {
	t.buf = append(strconv.AppendInt(t.buf, n, 10), after...)
}

// time appends a time in UTC, truncated to seconds, and after.
func (t *textWriter) time(at time.Time, after string) {
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

// escape returns s as JSON writes it between quotes.
func escape(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string can always be encoded
		return ""
	}
	return strings.TrimSuffix(b.String(), "\"\n")[1:]
}

// writeMetadata writes metadata.json. Its keys and their order are a promise to those who unpack
// ZIPs.
func (p *layout) writeMetadata(w io.Writer) error {
	t := newTextWriter(w)
	t.write("{\n")
	t.key("  ", "generatedAt").time(p.hour.GeneratedAt, ",\n")
	t.key("  ", "utcDay").quoted(p.hour.Day, ",\n")
	t.key("  ", "hour").quoted(fmt.Sprintf("%02d", p.hour.Hour), ",\n")
	t.key("  ", "totalSessions").integer(int64(len(p.folders)), ",\n")
	t.write("  \"sessions\": [\n")
	for i := range p.folders {
		p.writeSession(t, &p.folders[i], comma(i, len(p.folders)))
	}
	t.write("  ]")
	if len(p.missing) > 0 {
		t.write(",\n  \"missingFiles\": [\n")
		for i, m := range p.missing {
			t.write("    {\n")
			t.key("      ", "originalPath").quoted(m.Key, ",\n")
			t.key("      ", "messageId").integer(m.MessageID, ",\n")
			t.key("      ", "reason").quoted(string(m.Reason), "\n")
			t.write("    }" + comma(i, len(p.missing)))
		}
		t.write("  ]")
	}
	t.write("\n}\n")
	return t.flush()
}

func (p *layout) writeSession(t *textWriter, f *folder, after string) {
	t.write("    {\n")
	t.key("      ", "externalConversationId").quoted(f.externalID, ",\n")
	t.key("      ", "sessionId").quoted(f.sessionID, ",\n")
	t.write("      \"files\": [\n")
	const indent = "          "
	for i, n := range f.items {
		it := &p.items[n]
		e := it.entry
		t.write("        {\n")
		t.key(indent, "fileName").quoted(it.file, ",\n")
		t.key(indent, "originalPath").quoted(e.Key, ",\n")
		t.key(indent, "messageId").integer(e.MessageID, ",\n")
		t.key(indent, "type").quoted(e.Type, ",\n")
		t.key(indent, "timestamp").time(e.Timestamp, ",\n")
		t.key(indent, "originalSizeBytes").integer(e.Size, "\n")
		t.write("        }" + comma(i, len(f.items)))
	}
	t.write("      ]\n    }" + after)
}

// comma gives what follows element i of n.
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

// writeSums writes SHA256SUMS, which has the sums of all other entries. Safe names have no line
// ends and backslashes, so the escapes of sha256sum are not needed.
func (p *layout) writeSums(w io.Writer) error {
	t := newTextWriter(w)
	line := func(sum *[sha256.Size]byte, r record) {
		t.write("")
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
func (p *layout) writeDirectory(w io.Writer) error {
	t := newTextWriter(w)
	line := func(r record) {
		t.write("")
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
