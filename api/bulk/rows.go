package bulk

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/rawjson"
)

// lastActionLayout is the format of lastActionAt: UTC, without a zone suffix.
const lastActionLayout = "2006-01-02T15:04:05.000000"

// appendConversation appends a conversation's JSON. startTime is in Unix seconds. When they are
// unknown, metadata is {}, tags is [], and locale and lastActionAt are null.
func appendConversation(to []byte, c conversations.ExportedConversation) (_ []byte, err error) {
	to = slices.Grow(to, len(c.Metadata)+len(c.Tags)) // these can be large
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

// appendOr appends a value, or fallback for nil.
func appendOr(to, value []byte, fallback string) ([]byte, error) {
	if value == nil {
		return append(to, fallback...), nil
	}
	return rawjson.AppendValue(to, value)
}

// appendMessage appends a message's JSON: its time and type, then the other keys of its body as
// they were ingested, and its conversation. A key that was not ingested is absent; a null stays
// null.
func appendMessage(to []byte, m conversations.ExportedMessage) (_ []byte, err error) {
	to = rawjson.AppendString(append(to, `{"_id":`...), m.ID)
	to = appendUnix(append(to, `,"time":`...), m.Time)
	to = rawjson.AppendString(append(to, `,"type":`...), m.Type)
	for member, err := range rawjson.Members(m.Body) {
		if err == nil && !skippedKey(member) {
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

// skippedKey says whether the export writes a key of a message's body itself, or leaves it out
// because it is only about ingestion.
func skippedKey(m rawjson.Member) bool {
	for _, name := range [...]string{"kind", "messageId", "_id", "time", "type", "conversationId"} {
		if m.Is(name) {
			return true
		}
	}
	return false
}

// appendUnix appends Unix seconds, with milliseconds unless they are 0.
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
