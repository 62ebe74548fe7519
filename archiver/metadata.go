package archiver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
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
	metadataSession = `    {
      "externalConversationId": %s,
      "sessionId": %s,
      "files": [
`
	metadataFile = `        {
          "fileName": %s,
          "originalPath": %s,
          "messageId": %d,
          "type": %s,
          "timestamp": %q,
          "originalSizeBytes": %d
        }%s`
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
	fmt.Fprintf(out, metadataStart, instant(p.hour.GeneratedAt), p.hour.Day, p.hour.Hour, len(p.folders))
	for i := range p.folders {
		f := &p.folders[i]
		fmt.Fprintf(out, metadataSession, quote(f.externalID), quote(f.sessionID))
		for j, n := range f.items {
			it := &p.items[n]
			e := it.entry
			fmt.Fprintf(out, metadataFile, quote(it.file), quote(e.Key), e.MessageID, quote(e.Type), instant(e.Timestamp), e.Size, comma(j, len(f.items)))
		}
		fmt.Fprintf(out, "      ]\n    }%s", comma(i, len(p.folders)))
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

// instant gives a time in UTC, truncated to seconds.
func instant(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }

// quote gives s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func quote(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil { // a string can always be encoded
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// comma gives what follows element i of n.
func comma(i, n int) string {
	if i == n-1 {
		return "\n"
	}
	return ",\n"
}
