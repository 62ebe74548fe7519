package bulk

import (
	"fmt"
	"strconv"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/rawjson"
)

// lastActionLayout is the spelling of lastActionAt: UTC without saying so.
const lastActionLayout = "2006-01-02T15:04:05.000000"

// appendConversation appends a conversation as the export shows it: startTime in Unix seconds,
// metadata {} and tags [] where unknown, locale and lastActionAt null.
func appendConversation(to []byte, c catalog.ExportedConversation) (_ []byte, err error) {
	to = rawjson.AppendString(append(to, `{"_id":`...), c.ID)
	to = strconv.AppendInt(append(to, `,"startTime":`...), c.Start.Unix(), 10)
	to = append(to, `,"locale":`...)
	if c.Locale == nil {
		to = append(to, "null"...)
	} else {
		to = rawjson.AppendString(to, *c.Locale)
	}
	if to, err = appendOr(append(to, `,"metadata":`...), c.Metadata, "{}"); err != nil {
		return to, fmt.Errorf("metadata of conversation %q: %w", c.ID, err)
	}
	if to, err = appendOr(append(to, `,"tags":`...), c.Tags, "[]"); err != nil {
		return to, fmt.Errorf("tags of conversation %q: %w", c.ID, err)
	}
	to = strconv.AppendInt(append(to, `,"userMessageCount":`...), int64(c.UserMessages), 10)
	to = append(to, `,"lastActionAt":`...)
	if c.LastAction.IsZero() {
		return append(to, "null}"...), nil
	}
	to = c.LastAction.UTC().AppendFormat(append(to, '"'), lastActionLayout)
	return append(to, `"}`...), nil
}

// appendOr appends a value, or what stands for one that is unknown.
func appendOr(to, value []byte, unknown string) ([]byte, error) {
	if value == nil {
		return append(to, unknown...), nil
	}
	return rawjson.AppendValue(to, value)
}

// appendMessage appends a message: its time and type, then what else its body holds, as it came in, and
// its conversation. A key that did not come is absent, and one that came as null is null.
func appendMessage(to []byte, m catalog.ExportedMessage) (_ []byte, err error) {
	to = rawjson.AppendString(append(to, `{"_id":`...), m.ID)
	to = appendUnix(append(to, `,"time":`...), m.Time)
	to = rawjson.AppendString(append(to, `,"type":`...), m.Type)
	for member, err := range rawjson.Members(m.Body) {
		if err == nil && !ownKey(member) {
			to = append(append(append(to, ','), member.Name...), ':')
			to, err = rawjson.AppendValue(to, member.Value)
		}
		if err != nil {
			return to, fmt.Errorf("body of message %q: %w", m.ID, err)
		}
	}
	to = rawjson.AppendString(append(to, `,"conversationId":`...), m.ConversationID)
	return append(to, '}'), nil
}

// ownKey says whether a key of a message's body is one that the export writes itself, or that says
// nothing but how the line was taken in.
func ownKey(m rawjson.Member) bool {
	for _, name := range [...]string{"kind", "messageId", "_id", "time", "type", "conversationId"} {
		if m.Is(name) {
			return true
		}
	}
	return false
}

// appendUnix appends Unix seconds, whole or with milliseconds.
func appendUnix(to []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	to = strconv.AppendInt(to, ms/1000, 10)
	rest := ms % 1000
	if rest == 0 {
		return to
	}
	to = append(to, '.')
	for unit := int64(100); rest != 0; unit /= 10 {
		to = append(to, byte('0'+rest/unit))
		rest %= unit
	}
	return to
}
