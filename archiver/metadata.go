package archiver

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"github.com/callvault/callvault/internal/rawjson"
)

// The pieces of metadata.json. Its keys and their order are a promise to those who unpack ZIPs.
const (
	metadataStart = `{
  "generatedAt": %q,
  "utcDay": %q,
  "hour": "%02d",
  "totalSessions": %d,
  "sessions": [
`
	metadataMissing = `    {
      "originalPath": %s,
      "messageId": %d,
      "reason": %q
    }%s`
)

// writeMetadata writes metadata.json in pieces, since the whole of it would take memory for each
// recording.
func (p *layout) writeMetadata(w io.Writer) error {
	out := bufio.NewWriterSize(w, chunkSize)
	fmt.Fprintf(out, metadataStart, p.hour.GeneratedAt.UTC().Format(timeFormat), p.hour.Day, p.hour.Hour, len(p.folders))
	for i := range p.folders {
		f := &p.folders[i]
		out.Write(f.appendMetadata(out.AvailableBuffer()))
		for j, n := range f.items {
			out.Write(append(p.items[n].appendMetadata(out.AvailableBuffer()), comma(j, len(f.items))...))
		}
		out.Write(append(append(out.AvailableBuffer(), "      ]\n    }"...), comma(i, len(p.folders))...))
	}
	fmt.Fprint(out, "  ]")
	if len(p.missing) > 0 {
		fmt.Fprint(out, ",\n  \"missingFiles\": [\n")
		for i, m := range p.missing {
			fmt.Fprintf(out, metadataMissing, quote(m.Key), m.MessageID, m.Reason, comma(i, len(p.missing)))
		}
		fmt.Fprint(out, "  ]")
	}
	fmt.Fprint(out, "\n}\n")
	return out.Flush()
}

// appendMetadata appends the start of a session's object, up to its first file. It does not use
// fmt, which is slower: an hour may have 70,000 sessions.
func (f *folder) appendMetadata(b []byte) []byte {
	b = rawjson.AppendString(append(b, "    {\n      \"externalConversationId\": "...), f.externalID)
	b = rawjson.AppendString(append(b, ",\n      \"sessionId\": "...), f.sessionID)
	return append(b, ",\n      \"files\": [\n"...)
}

// appendMetadata appends an item's object, for the same reason without fmt.
func (it *item) appendMetadata(b []byte) []byte {
	const next = ",\n          "
	e := it.entry
	b = rawjson.AppendString(append(b, "        {\n          \"fileName\": "...), it.file)
	b = rawjson.AppendString(append(b, next+`"originalPath": `...), e.Key)
	b = strconv.AppendInt(append(b, next+`"messageId": `...), e.MessageID, 10)
	b = rawjson.AppendString(append(b, next+`"type": `...), e.Type)
	b = e.Timestamp.UTC().AppendFormat(append(b, next+`"timestamp": `...), `"`+timeFormat+`"`)
	b = strconv.AppendInt(append(b, next+`"originalSizeBytes": `...), e.Size, 10)
	return append(b, "\n        }"...)
}

// timeFormat is for times in UTC.
const timeFormat = "2006-01-02T15:04:05Z"

// quote gives s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func quote(s string) string { return string(rawjson.AppendString(nil, s)) }

// comma gives what follows element i of n.
func comma(i, n int) string {
	if i == n-1 {
		return "\n"
	}
	return ",\n"
}
