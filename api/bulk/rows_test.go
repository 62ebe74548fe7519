package bulk

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/conversations"
)

func TestAppendMessage(t *testing.T) {
	at := time.UnixMilli(1744651778652)
	for body, want := range map[string]string{
		`{}`: ``,
		`{"userInput":null,"outMsg":{"z":1.50,"a":[ ]},"userActionType":"x","other":{"userInput":2}}`:                                   `,"userInput":null,"outMsg":{"z":1.50,"a":[]},"userActionType":"x","other":{"userInput":2}`,
		"{\t\"user\\u0049nput\" : {\"a\" : \"b  \\\" }\"}\r}":                                                                           `,"user\u0049nput":{"a":"b  \" }"}`,
		`{"kind":"message","messageId":"x","z":1e2,"_id":7,"time":1,"TIME":2,"t\u0079pe":"y","conversationId":"d","conversation":null}`: `,"z":1e2,"TIME":2,"conversation":null`,
	} {
		got, err := appendMessage([]byte("before"), conversations.ExportedMessage{ID: "m\"1", Time: at, Type: "Tür<", ConversationID: "c", Body: json.RawMessage(body)})
		if want = `before{"_id":"m\"1","time":1744651778.652,"type":"Tür<"` + want + `,"conversationId":"c"}`; string(got) != want || err != nil {
			t.Errorf("%s:\n%s, %v, want\n%s", body, got, err, want)
		}
	}
	for _, body := range []string{``, `null`, `[]`, `{"userInput":`, `{"userInput":"x}`, `{"outMsg":{"a":1}`} {
		if got, err := appendMessage(nil, conversations.ExportedMessage{Body: json.RawMessage(body)}); err == nil {
			t.Errorf("a damaged body %s was shown: %s", body, got)
		}
	}
}

func TestAppendUnix(t *testing.T) {
	for want, at := range map[string]time.Time{
		"0": time.Unix(0, 999_999), "1.5": time.UnixMilli(1500), "1.05": time.UnixMilli(1050), "1.005": time.UnixMilli(1005), "1.1": time.UnixMilli(1100),
		"1.999": time.UnixMicro(1_999_999), "253402300799.001": time.UnixMilli(253402300799001),
	} {
		if got := string(appendUnix(nil, at)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAppendConversation(t *testing.T) {
	locale := "de_de"
	for want, c := range map[string]conversations.ExportedConversation{
		`{"_id":"c","startTime":1,"locale":null,"metadata":{},"tags":[],"userMessageCount":0,"lastActionAt":null}`: {ID: "c", Start: time.UnixMilli(1999)},
		`{"_id":"漢","startTime":1,"locale":"de_de","metadata":{"b":1e2,"a":" "},"tags":["x","y"],"userMessageCount":7,"lastActionAt":"1970-01-01T00:00:02.000030"}`: {
			ID: "漢", Start: time.Unix(1, 0), Locale: &locale, Metadata: json.RawMessage(`{"b": 1e2, "a":" "}`), Tags: json.RawMessage(`["x", "y"]`),
			UserMessages: 7, LastAction: time.UnixMicro(2_000_030)},
	} {
		if got, err := appendConversation(nil, c); string(got) != want || err != nil {
			t.Errorf("%s, %v, want\n%s", got, err, want)
		}
	}
	for _, c := range []conversations.ExportedConversation{{Metadata: json.RawMessage(`{"a":1`)}, {Tags: json.RawMessage(`[1]]`)}, {Tags: json.RawMessage{}}} {
		if got, err := appendConversation(nil, c); err == nil {
			t.Errorf("damaged JSON was shown: %s", got)
		}
	}
}
