package ingest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const fullConversation = `{"kind":"conversation","conversationId":"c1","externalConversationId":"conv-123","sessionId":"s1","agentId":"a1",
"sessionType":"webcall","sessionStatus":"completed","status":"done","callSuccessful":"success","startTime":"2024-01-15T10:30:00Z",
"endTime":"2024-01-15T13:35:00.1234567+03:00","lastActionAt":null,"locale":"en_us","tags":["b", "a"],"metadata":{"z":1.0,"a":{"z":1,"z":2}},
"callDirection":"inbound","callerPhone":"+1","calleePhone":"+2","keyMode":"k","agentModel":"m","agentArchitecture":"p","baseCost":0.250,"totalCost":4.5E-1,
"user":{"name":"J","id":"u1"},"transcript":{"raw":"[{\"role\":\"agent\",\"text\":\"hi \\u0000\"}]","createdAt":"2024-01-15T10:35:00Z"},
"postCallAnalysis":{"analysisData":{"b":1,"a":2},"analyzedAt":"2024-01-15T10:36:00Z"},
"recording":{"id":"rec","objectKey":"recordings/2024/x.webm","createdAt":"2024-01-15T10:35:00Z"},"unknown":[1]}`

// parsed returns a batch with one line.
func parsed(text []byte) (b catalog.Batch, err error) {
	err = parseLine(text, 1, &b)
	return b, err
}

// value returns the only line of a kind; nil when there is none.
func value[T any](lines []catalog.Line[T]) *T {
	if len(lines) == 0 {
		return nil
	}
	return &lines[0].Value
}

func TestConversation(t *testing.T) {
	l, err := parsed([]byte(strings.ReplaceAll(fullConversation, "\n", "")))
	if err != nil {
		t.Fatal(err)
	}
	at := func(h, m, s, us int) *time.Time {
		v := time.Date(2024, 1, 15, h, m, s, us*1000, time.UTC)
		return &v
	}
	raw, turns := `[{"role":"agent","text":"hi \u0000"}]`, 1
	want := &domain.Conversation{
		ID: "c1", ExternalID: "conv-123", SessionID: "s1", AgentID: "a1", SessionType: "webcall", SessionStatus: "completed",
		Status: "done", CallSuccessful: "success", Start: *at(10, 30, 0, 0), End: at(10, 35, 0, 123456), Locale: "en_us",
		Tags: json.RawMessage(`["b", "a"]`), Metadata: json.RawMessage(`{"z":1.0,"a":{"z":1,"z":2}}`), CallDirection: "inbound",
		CallerPhone: "+1", CalleePhone: "+2", KeyMode: "k", AgentModel: "m", AgentArchitecture: "p",
		BaseCost: json.RawMessage(`0.250`), TotalCost: json.RawMessage(`4.5E-1`), User: json.RawMessage(`{"name":"J","id":"u1"}`),
		UserID: "u1", TranscriptRaw: &raw, TranscriptTurns: &turns, TranscriptCreated: at(10, 35, 0, 0),
		AnalysisData: json.RawMessage(`{"b":1,"a":2}`), Analyzed: at(10, 36, 0, 0), RecordingID: "rec",
		RecordingKey: "recordings/2024/x.webm", RecordingCreated: at(10, 35, 0, 0), Cleared: []string{"lastActionAt"},
	}
	if d := cmp.Diff(want, value(l.Conversations)); d != "" {
		t.Fatal(d)
	}
}

func TestBodiesAreKeptAsTheyCame(t *testing.T) {
	for in, want := range map[string]string{
		`{"kind":"agent","agentId":"a"}`:                                             `{"agentId":"a"}`,
		`{ "agentId" : "a" , "kind":"agent" }`:                                       `{"agentId" : "a"}`,
		`{"z":1.50,"agentId":"a","k\u0069nd":"agent","a":{"y":1, "x":"\u0000é}"}}`:   `{"z":1.50,"agentId":"a","a":{"y":1, "x":"\u0000é}"}}`,
		`{"agentId":"a","kind":"agent","enabledFunctions":["[","\"]"],"temp":1e0}`:   `{"agentId":"a","enabledFunctions":["[","\"]"],"temp":1e0}`,
		"{\"kind\":\"agent\",\t\"agentId\":\"a\",\"half\":\"\\ud83d\",\"t\": true }": `{"agentId":"a","half":"\ud83d","t": true}`,
	} {
		l, err := parsed([]byte(in))
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if string(value(l.Agents).Body) != want {
			t.Errorf("%s:\n got %s\nwant %s", in, value(l.Agents).Body, want)
		}
	}
}

const (
	okMessage   = `{"kind":"message","messageId":"m","conversationId":"c","time":1744651778.652,"type":"UserInput"}`
	okTotal     = `{"kind":"total","day":"2025-12-12","hour":"14","recordings":1543}`
	okRecording = `{"kind":"recording","conversationId":"c","sessionId":"s","messageId":789,"type":"agent_tts","timestamp":"2025-12-12T14:23:45Z","objectKey":"a/b.opus","sizeBytes":45000,"contentType":"audio/ogg","crc32":"a1B2c3d4","sha256":"E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`
	okAgent     = `{"kind":"agent","agentId":"a","name":"n"}`
	okConv      = `{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z"}`
)

func TestRecording(t *testing.T) {
	empty := domain.SHA256(sha256.Sum256(nil))
	l, err := parsed([]byte(okRecording))
	if err != nil {
		t.Fatal(err)
	}
	size, sum := int64(45000), uint32(0xa1b2c3d4)
	want := &domain.Recording{ObjectKey: "a/b.opus", ConversationID: "c", SessionID: "s", MessageID: 789, Type: "agent_tts",
		Timestamp: time.Date(2025, 12, 12, 14, 23, 45, 0, time.UTC), Size: &size, ContentType: "audio/ogg", CRC32: &sum, SHA256: &empty}
	if d := cmp.Diff(want, value(l.Recordings)); d != "" {
		t.Fatal(d)
	}
}

// TestNullOnRecordings sends each field of a recording's line as null, which is the same as absent.
func TestNullOnRecordings(t *testing.T) {
	for field, required := range map[string]bool{"kind": true, "conversationId": true, "sessionId": true, "messageId": true, "type": true,
		"timestamp": true, "objectKey": true, "sizeBytes": false, "contentType": false, "crc32": false, "sha256": false} {
		pattern := regexp.MustCompile(`("` + field + `"):("[^"]*"|[0-9]+)`)
		absent, absentErr := parsed(pattern.ReplaceAll([]byte(okRecording), []byte(`"x":0`)))
		null, err := parsed(pattern.ReplaceAll([]byte(okRecording), []byte(`$1:null`)))
		if d := cmp.Diff(absent.Recordings, null.Recordings); d != "" {
			t.Errorf("%s: %s", field, d)
		}
		want := ""
		if required {
			want = fmt.Sprintf("%q is missing", field)
		}
		if got := fmt.Sprint(err); required && got != want || fmt.Sprint(absentErr) != got {
			t.Errorf("%s: got %v, without it %v, want %q", field, err, absentErr, want)
		}
	}
}

func TestTotal(t *testing.T) {
	for text, want := range map[string]domain.Total{
		okTotal: {Day: "2025-12-12", Hour: 14, Recordings: 1543},
		`{"kind":"total","day":"2025-12-12","hour":null,"recordings":0}`: {Day: "2025-12-12", Hour: domain.WholeDay},
	} {
		b, err := parsed([]byte(text))
		if err != nil || len(b.Totals) != 1 || b.Totals[0].Value != want {
			t.Errorf("%s: %+v, error %v", text, b.Totals, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ line, from, to, want string }{
		{okRecording, `"2025-12-12T14:23:45Z"`, `"2025-12-12 14:23:45Z"`, `"timestamp" must be an RFC 3339 time such as 2025-12-12T14:23:45Z`},
		{okRecording, `"2025-12-12T14:23:45Z"`, `1765549425`, `"timestamp" must be an RFC 3339 time such as 2025-12-12T14:23:45Z`},
		{okRecording, `"2025-12-12T14:23:45Z"`, `""`, `"timestamp" must be an RFC 3339 time such as 2025-12-12T14:23:45Z`},
		{okRecording, `"2025-12-12T14:23:45Z"`, `"2025-02-30T14:23:45Z"`, `"timestamp" must be an RFC 3339 time such as 2025-12-12T14:23:45Z`},
		{okRecording, `"2025-12-12T14:23:45Z"`, `"1969-12-31T23:59:59Z"`, `"timestamp" must be a time from 1970 to 9999`},
		{okRecording, `"2025-12-12T14:23:45Z"`, `"9999-12-31T23:59:59-01:00"`, `"timestamp" must be a time from 1970 to 9999`},
		{okRecording, `"2025-12-12T14:23:45Z"`, `null`, `"timestamp" is missing`},
		{okRecording, `789`, `789.0`, `"messageId" must be an integer of 64 bits`},
		{okRecording, `789`, `"789"`, `"messageId" must be an integer of 64 bits`},
		{okRecording, `789`, `9223372036854775808`, `"messageId" must be an integer of 64 bits`},
		{okRecording, `45000`, `-1`, `"sizeBytes" must not be negative`},
		{okRecording, `a1B2c3d4`, `a1b2c3d`, `"crc32" must be 8 hex digits such as a1b2c3d4`},
		{okRecording, `a1B2c3d4`, `+1b2c3d4`, `"crc32" must be 8 hex digits such as a1b2c3d4`},
		{okRecording, `E3b0`, `3b0`, `"sha256" must be 64 hex digits, as sha256sum prints them`},
		{okRecording, `E3b0`, `x3b0`, `"sha256" must be 64 hex digits, as sha256sum prints them`},
		{okRecording, `audio/ogg`, `audio\n`, `"contentType" must be printable ASCII`},
		{okRecording, `a/b.opus`, `a/../b`, `"objectKey" must not hold a part "." or ".."`},
		{okRecording, `a/b.opus`, `a//b`, `"objectKey" must not begin or end with a slash, nor hold two in a row`},
		{okRecording, `a/b.opus`, `/a`, `"objectKey" must not begin or end with a slash, nor hold two in a row`},
		{okRecording, `a/b.opus`, `a/`, `"objectKey" must not begin or end with a slash, nor hold two in a row`},
		{okRecording, `a/b.opus`, strings.Repeat("x/", 512) + "y", `"objectKey" must have at most 1024 bytes`},
		{okRecording, `a/b.opus`, `a\u0007b`, `"objectKey" must not hold control characters`},
		{okRecording, `"sessionId":"s"`, `"sessionId":""`, `"sessionId" must not be empty`},
		{okRecording, `"sessionId":"s",`, ``, `"sessionId" is missing`},
		{okRecording, `"sessionId":"s"`, `"sessionId":"` + strings.Repeat("é", 257) + `"`, `"sessionId" must have at most 512 bytes`},
		{okRecording, `"sessionId":"s"`, `"sessionId":5`, `"sessionId" must be a string`},
		{okRecording, `"sessionId":"s"`, `"sessionId":"s","sessionId":"t"`, `"sessionId" stands twice`},
		{okMessage, `"m"`, `"a\u0000"`, `"messageId" must not hold the character U+0000`},
		{okMessage, `"m"`, `"\ud83d"`, `"messageId" holds half of a surrogate pair`},
		{okMessage, `1744651778.652`, `"1744651778"`, `"time" must be a number of Unix seconds such as 1744651778.652`},
		{okMessage, `1744651778.652`, `-1`, `"time" must be Unix seconds of a time from 1970 to 9999`},
		{okMessage, `1744651778.652`, `253402300800`, `"time" must be Unix seconds of a time from 1970 to 9999`},
		{okMessage, `1744651778.652`, `1e999999999999`, `"time" must be Unix seconds of a time from 1970 to 9999`},
		{okTotal, `"2025-12-12"`, `"2025-02-30"`, `"day" must be a real UTC day from 1970 on such as 2025-12-12`},
		{okTotal, `"2025-12-12"`, `"20251212"`, `"day" must be a real UTC day from 1970 on such as 2025-12-12`},
		{okTotal, `"2025-12-12"`, `"1969-12-31"`, `"day" must be a real UTC day from 1970 on such as 2025-12-12`},
		{okTotal, `"day":"2025-12-12",`, ``, `"day" is missing`},
		{okTotal, `"14"`, `"24"`, `"hour" must be two digits from "00" to "23"`},
		{okTotal, `"14"`, `"7"`, `"hour" must be two digits from "00" to "23"`},
		{okTotal, `"14"`, `""`, `"hour" must be two digits from "00" to "23"`},
		{okTotal, `"14"`, `14`, `"hour" must be a string`},
		{okTotal, `1543`, `-1`, `"recordings" must be from 0 to 1000000000000`},
		{okTotal, `1543`, `15.5`, `"recordings" must be an integer of 64 bits`},
		{okTotal, `,"recordings":1543`, ``, `"recordings" is missing`},
		{okMessage, `"message"`, `"msg"`, `"kind" must be one of agent, conversation, message, recording, total`},
		{okMessage, `"message"`, `null`, `"kind" is missing`},
		{okConv, `"agentId":"a"`, `"agentId":"a","status":"Done"`, `"status" must be one of initiated, in-progress, processing, done, failed`},
		{okConv, `"agentId":"a"`, `"agentId":"a","callSuccessful":true`, `"callSuccessful" must be a string`},
		{okConv, `"agentId":"a"`, `"agentId":"a","tags":["a",null]`, `"tags" must be a list of strings`},
		{okConv, `"agentId":"a"`, `"agentId":"a","tags":{}`, `"tags" must be a list of strings`},
		{okConv, `"agentId":"a"`, `"agentId":"a","metadata":[]`, `"metadata" must be an object`},
		{okConv, `"agentId":"a"`, `"agentId":"a","baseCost":"1"`, `"baseCost" must be a number`},
		{okConv, `"agentId":"a"`, `"agentId":"a","user":{"id":1}`, `"user.id" must be a string`},
		{okConv, `"agentId":"a"`, `"agentId":"a","user":{"id":"1","id":"2"}`, `"user" is not right: "id" stands twice`},
		{okConv, `"agentId":"a"`, `"agentId":"a","transcript":{"raw":[]}`, `"transcript.raw" must be a string`},
		{okConv, `"agentId":"a"`, `"agentId":"a","transcript":{"raw":"a\u0000b"}`, `"transcript.raw" must not hold the character U+0000`},
		{okConv, `"agentId":"a"`, `"agentId":"a","transcript":[]`, `"transcript" must be an object`},
		{okConv, `"agentId":"a"`, `"agentId":"a","recording":{"objectKey":""}`, `"recording.objectKey" must not be empty`},
		{okConv, `"agentId":"a"`, `"agentId":"a","postCallAnalysis":{"analysisData":"x"}`, `"postCallAnalysis.analysisData" must be an object`},
		{okConv, `"agentId":"a"`, `"agentId":null`, `"agentId" must not be null; leave it out to keep its value`},
		{okConv, `"agentId":"a"`, `"agentId":""`, `"agentId" must not be empty`},
		{okConv, `"2024-01-15T10:30:00Z"`, `null`, `"startTime" must not be null; leave it out to keep its value`},
		{okAgent, okAgent, `[]`, `not a JSON object`},
		{okAgent, okAgent, `5`, `not a JSON object`},
		{okAgent, okAgent, `{"a":}`, `not valid JSON at byte 6`},
		{okAgent, okAgent, `{} {}`, `not valid JSON at byte 4`},
		{okAgent, `"n"`, "\"\xff\"", `not valid UTF-8`},
		{okAgent, `"n"`, `"` + strings.Repeat("n", 1<<20) + `"`, `longer than 1048576 bytes; only a conversation's line may be`},
	} {
		text := strings.Replace(c.line, c.from, c.to, 1)
		_, err := parsed([]byte(text))
		if !errors.Is(err, domain.ErrInvalid) || domain.SafeMessage(err) != c.want {
			t.Errorf("%.200s:\n got %v\nwant %s", text, err, c.want)
		}
	}
}

func TestDeepNesting(t *testing.T) {
	deep := `{"kind":"agent","agentId":"a","x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`
	if _, err := parsed([]byte(deep)); !errors.Is(err, domain.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
}

func TestDecimalMicros(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1744651778.652": 1744651778652000, "1744651778.6529999999999999": 1744651778652999, "1744651783": 1744651783000000,
		"0.000001": 1, "0.0000009": 0, "1e3": 1000000000, "1.744651778652E9": 1744651778652000, "12e-1": 1200000, "1e-300": 0,
		"0e999": 0, "253402300799.999999": endMicros - 1, "0.1234565": 123456,
		"-1": -1, "1e20": -1, "1e1001": -1, "99999999999999": -1,
	} {
		got, ok := decimalMicros(in)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("decimalMicros(%s) = %d, want %d", in, got, want)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{okMessage, okRecording, okAgent, okConv, strings.ReplaceAll(fullConversation, "\n", ""), `{"kind":"agent","agentId":"\ud83d\ude00"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parsed(text)
		if err != nil {
			if domain.KindOf(err) != domain.KindInvalid || domain.SafeMessage(err) == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		var body json.RawMessage
		switch {
		case len(l.Agents) > 0:
			body = value(l.Agents).Body
		case len(l.Messages) > 0:
			m := value(l.Messages)
			if body = m.Body; m.Time.Year() > 9999 || m.Time.Year() < 1970 {
				t.Fatalf("time %v", m.Time)
			}
		case len(l.Recordings) > 0:
			if key := value(l.Recordings).ObjectKey; CheckObjectKey(key) != nil {
				t.Fatalf("key %q", key)
			}
		}
		if body == nil {
			return
		}
		var all, kept map[string]json.RawMessage
		if json.Unmarshal(text, &all) != nil || json.Unmarshal(body, &kept) != nil {
			t.Fatalf("body %q of %q is not JSON", body, text)
		}
		delete(all, "kind")
		if d := cmp.Diff(all, kept); d != "" {
			t.Fatal(d)
		}
	})
}
