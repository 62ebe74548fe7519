package bulk

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
)

// lastActionLayout is the spelling of lastActionAt: UTC without saying so.
const lastActionLayout = "2006-01-02T15:04:05.000000"

type conversation struct {
	ID               string          `json:"_id"`
	StartTime        int64           `json:"startTime"` // Unix seconds
	Locale           *string         `json:"locale"`
	Metadata         json.RawMessage `json:"metadata"`
	Tags             json.RawMessage `json:"tags"`
	UserMessageCount int             `json:"userMessageCount"`
	LastActionAt     *string         `json:"lastActionAt"`
}

func showConversation(c catalog.ExportedConversation) (any, error) {
	out := conversation{ID: c.ID, StartTime: c.Start.Unix(), Locale: c.Locale, Metadata: c.Metadata, Tags: c.Tags, UserMessageCount: c.UserMessages}
	if out.Metadata == nil {
		out.Metadata = json.RawMessage("{}")
	}
	if out.Tags == nil {
		out.Tags = json.RawMessage("[]")
	}
	if !c.LastAction.IsZero() {
		at := c.LastAction.UTC().Format(lastActionLayout)
		out.LastActionAt = &at
	}
	return out, nil
}

type message struct {
	ID             string          `json:"_id"`
	Time           json.RawMessage `json:"time"` // Unix seconds, whole or with milliseconds
	Type           string          `json:"type"`
	OutMsg         json.RawMessage `json:"outMsg,omitempty"`
	UserActionType json.RawMessage `json:"userActionType,omitempty"`
	UserInput      json.RawMessage `json:"userInput,omitempty"`
	ConversationID string          `json:"conversationId"`
}

// showMessage gives the message with the parts of its body that exports have, as they came in. A
// part that did not come is absent, and one that came as null is null.
func showMessage(m catalog.ExportedMessage) (any, error) {
	var body map[string]json.RawMessage // unlike a struct it takes no other spelling of a key
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return nil, err
	}
	return message{ID: m.ID, Time: unixTime(m.Time), Type: m.Type, OutMsg: body["outMsg"], UserActionType: body["userActionType"],
		UserInput: body["userInput"], ConversationID: m.ConversationID}, nil
}

func unixTime(t time.Time) json.RawMessage {
	ms := t.UnixMilli()
	text := strconv.FormatInt(ms/1000, 10)
	if rest := ms % 1000; rest != 0 {
		text += strings.TrimRight("."+strconv.FormatInt(1000+rest, 10)[1:], "0")
	}
	return json.RawMessage(text)
}
