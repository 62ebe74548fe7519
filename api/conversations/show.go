package conversations

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
	"github.com/callvault/callvault/internal/telemetry"
	"github.com/callvault/callvault/internal/transcript"
)

// afterMetadata is the fields of a conversation behind its transcript and its metadata. Those
// before them are an item.
type afterMetadata struct {
	Analysis          analysis `json:"analysis"`
	UserID            *string  `json:"user_id"`
	HasAudio          bool     `json:"has_audio"`
	HasUserAudio      bool     `json:"has_user_audio"`
	HasResponseAudio  bool     `json:"has_response_audio"`
	HasAuxiliaryAudio bool     `json:"has_auxiliary_audio"`
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
func (h *handler) show(ctx context.Context, w http.ResponseWriter, r *http.Request, req request) error {
	memory, err := h.deps.Conversations.Memory(ctx, req.tenant, req.id)
	if err != nil {
		return readError("look the conversation up", err)
	}
	hold, err := h.deps.Budget.Acquire(req.tenant, req.actor, memory)
	if err != nil {
		return web.Step("reserve memory", err)
	}
	defer hold.Release()
	s, err := h.deps.Conversations.Show(ctx, req.tenant, req.id)
	if err != nil {
		return readError("read the conversation", err)
	}
	// One recording holds the whole call: the user's voice and the agent's.
	_, recorded, err := web.StatRecording(ctx, h.deps.Store, s.RecordingKey)
	if err != nil {
		return web.Step("look the recording up", err)
	}
	head := listItem(s.Header)
	out := afterMetadata{UserID: web.TextOrNull(s.UserID), HasAudio: recorded, HasUserAudio: recorded, HasResponseAudio: recorded, Analysis: analysis{s.CallSuccessful, s.Summary}}
	if req.convai { // only the other path shows the conversation's own metadata
		s.Metadata = nil
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	o := web.Origin(r, req.actor)
	if err := h.deps.Catalog.AppendAudit(ctx, o, req.tenant, actionShow, readDetail{Conversation: req.id, Origin: o}); err != nil {
		return web.Step("write the audit log", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := write(hold.Writer(w), head, turns(r.Context(), s), s.Metadata, out); err != nil {
		h.deps.Log.Info("a conversation broke off", telemetry.In(ctx), zap.Error(err))
		web.Abort()
	}
	return nil
}

// readError gives the error of a conversation that can't be read.
func readError(doing string, err error) error {
	if domain.KindOf(err) == domain.KindNotFound {
		return notFound()
	}
	return web.Step(doing, err)
}

// write sends a conversation turn by turn: a transcript can be as large as an ingested line.
func write(w http.ResponseWriter, head item, spoken iter.Seq2[turn, error], own json.RawMessage, tail afterMetadata) error {
	out := web.NewStream(w)
	add := func(separator string, v any, from, less int) error {
		_, err := out.Append(func(to []byte) ([]byte, error) {
			text, err := web.Encode(v)
			if err != nil {
				return to, err
			}
			return append(append(to, separator...), text[from:len(text)-less]...), nil
		})
		return err
	}
	if err := add("", head, 0, 1); err != nil {
		return err
	}
	separator := `,"transcript":[`
	for t, err := range spoken {
		if err == nil {
			err = add(separator, t, 0, 0)
		}
		if err != nil {
			return err
		}
		separator = ","
	}
	end := `],"metadata":`
	if separator != "," {
		end = separator + end
	}
	if _, err := out.Append(func(to []byte) ([]byte, error) { return appendMetadata(append(to, end...), head, own) }); err != nil {
		return err
	}
	if err := add(",", tail, 1, 0); err != nil {
		return err
	}
	if _, err := out.Append(func(to []byte) ([]byte, error) { return append(to, '\n'), nil }); err != nil {
		return err
	}
	return out.End()
}

// appendMetadata appends the call's times and then the members of the conversation's own metadata,
// as they were ingested. A member with the name of one of the times is left out.
func appendMetadata(to []byte, i item, own json.RawMessage) ([]byte, error) {
	to = slices.Grow(to, len(own)) // it can be large
	to = fmt.Appendf(to, `{"start_time_unix_secs":%d,"call_duration_secs":%d`, i.StartTimeUnixSecs, i.CallDurationSecs)
	if own == nil {
		return append(to, '}'), nil
	}
	for m, err := range rawjson.Members(own) {
		if err == nil && !m.Is("start_time_unix_secs") && !m.Is("call_duration_secs") {
			to = append(append(append(to, ','), m.Name...), ':')
			to, err = rawjson.AppendValue(to, m.Value)
		}
		if err != nil {
			return to, fmt.Errorf("metadata: %w", err)
		}
	}
	return append(to, '}'), nil
}

// turns gives the turns of the raw transcript, or of the messages when there is none.
func turns(ctx context.Context, s conversations.Shown) iter.Seq2[turn, error] {
	return func(yield func(turn, error) bool) {
		if s.Messages != nil {
			for m, err := range s.Messages.All(ctx) {
				role, text := messageTurn(m)
				if !yield(turn{role, text, sinceStart(s.Start, m.Time, nil)}, err) {
					return
				}
			}
			return
		}
		if s.Turns == 0 { // JSON without a turn would be read into memory as one value
			return
		}
		for t, err := range transcript.Turns(s.Transcript.Reader(ctx)) {
			if !yield(turn{t.Role, t.Text, sinceStart(s.Start, t.At, t.Offset)}, err) {
				return
			}
		}
	}
}

// sinceStart gives whole seconds since the start of the call, 0 when unknown.
func sinceStart(start, at time.Time, offset *float64) int64 {
	switch {
	case offset != nil:
		return int64(*offset)
	case at.After(start):
		return int64(at.Sub(start) / time.Second)
	}
	return 0
}

// messageTurn gives the role and the text of a message.
func messageTurn(m conversations.ExportedMessage) (role, text string) {
	var body map[string]json.RawMessage
	_ = json.Unmarshal(m.Body, &body) // a body that can't be read has no text
	if m.Type == "UserInput" || body["outMsg"] == nil && body["userInput"] != nil {
		return transcript.RoleUser, textOrJSON(body["userInput"])
	}
	var said struct {
		Steps []struct{ Text string }
		Text  string
	}
	if json.Unmarshal(body["outMsg"], &said) != nil {
		return transcript.RoleAgent, textOrJSON(body["outMsg"])
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
	return transcript.RoleAgent, strings.Join(lines, "\n")
}

// textOrJSON gives a text as it is, and any other value, such as a form, as JSON.
func textOrJSON(value json.RawMessage) string {
	var text string
	if len(value) == 0 || string(value) == "null" || json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}
