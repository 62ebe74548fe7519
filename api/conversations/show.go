package conversations

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// single is one conversation.
type single struct {
	item
	Transcript        []turn          `json:"transcript"`
	Metadata          json.RawMessage `json:"metadata"`
	Analysis          analysis        `json:"analysis"`
	UserID            *string         `json:"user_id"`
	HasAudio          bool            `json:"has_audio"`
	HasUserAudio      bool            `json:"has_user_audio"`
	HasResponseAudio  bool            `json:"has_response_audio"`
	HasAuxiliaryAudio bool            `json:"has_auxiliary_audio"`
}

type turn struct {
	Role           string `json:"role"`
	Message        string `json:"message"`
	TimeInCallSecs int64  `json:"time_in_call_secs"`
}

type analysis struct {
	CallSuccessful    string `json:"call_successful"`
	TranscriptSummary string `json:"transcript_summary"`
}

// show is GET /conversations/{id}.
func (h *handler) show(ctx context.Context, c *call) {
	s, err := h.deps.Catalog.ShowConversation(ctx, c.tenant, c.id)
	if domain.KindOf(err) == domain.KindNotFound {
		c.notFound()
		return
	}
	if err != nil {
		h.broken(c, "read the conversation", err)
		return
	}
	// One recording holds the whole call: the user's voice and the agent's.
	recorded := s.RecordingKey != ""
	out := single{item: showItem(s.ConversationHeader), Transcript: turns(s), HasAudio: recorded, HasUserAudio: recorded, HasResponseAudio: recorded,
		Analysis: analysis{s.CallSuccessful, s.Summary}}
	out.MessageCount = len(out.Transcript)
	if s.UserID != "" {
		out.UserID = &s.UserID
	}
	own := s.Metadata
	if c.convai {
		own = nil
	}
	if out.Metadata, err = metadata(out.item, own); err != nil {
		h.broken(c, "show the metadata", err)
		return
	}
	web.JSON(c.w, c.r, http.StatusOK, out)
}

// metadata gives the call's times and then the conversation's own members, in their order and
// spelling. A member of the conversation's own never stands for one of the times.
func metadata(i item, own json.RawMessage) (json.RawMessage, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"start_time_unix_secs":%d,"call_duration_secs":%d`, i.StartTimeUnixSecs, i.CallDurationSecs)
	if own != nil {
		d := json.NewDecoder(bytes.NewReader(own))
		if _, err := d.Token(); err != nil {
			return nil, err
		}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				return nil, err
			}
			if key == "start_time_unix_secs" || key == "call_duration_secs" {
				continue
			}
			name, err := json.Marshal(key)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&out, ",%s:%s", name, value)
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// turns gives what was said: from the raw transcript, else from the messages.
func turns(s catalog.ShownConversation) []turn {
	out := []turn{}
	if s.Transcript != nil {
		for t, err := range domain.ParseTurns(*s.Transcript) {
			if err != nil {
				break // it was valid when it was taken in
			}
			out = append(out, turn{t.Role, t.Text, sinceStart(s.Start, t.At, t.Offset)})
		}
		return out
	}
	for _, m := range s.Messages {
		role, text := spoken(m)
		out = append(out, turn{role, text, sinceStart(s.Start, m.Time, nil)})
	}
	return out
}

// sinceStart gives whole seconds into the call, 0 where nothing tells.
func sinceStart(start, at time.Time, offset *float64) int64 {
	switch {
	case offset != nil:
		return int64(*offset)
	case at.After(start):
		return int64(at.Sub(start) / time.Second)
	}
	return 0
}

// spoken gives who said a message, and what.
func spoken(m catalog.ExportedMessage) (role, text string) {
	var body map[string]json.RawMessage
	_ = json.Unmarshal(m.Body, &body) // a body that can't be read says nothing
	if m.Type == "UserInput" || body["outMsg"] == nil && body["userInput"] != nil {
		return domain.RoleUser, plain(body["userInput"])
	}
	var said struct {
		Steps []struct{ Text string }
		Text  string
	}
	if json.Unmarshal(body["outMsg"], &said) != nil {
		return domain.RoleAgent, plain(body["outMsg"])
	}
	lines := make([]string, 0, len(said.Steps))
	for _, step := range said.Steps {
		if step.Text != "" {
			lines = append(lines, step.Text)
		}
	}
	if len(lines) == 0 && said.Text != "" {
		lines = append(lines, said.Text)
	}
	return domain.RoleAgent, strings.Join(lines, "\n")
}

// plain gives a text as it is, and anything else as its JSON: a form that was filled in, say.
func plain(value json.RawMessage) string {
	var text string
	if len(value) == 0 || string(value) == "null" || json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}
