package ingest

import (
	"strconv"
	"strings"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/transcript"
)

// Limits of one line, in bytes.
const (
	MaxLineBytes  = 64 << 20 // of a conversation: transcripts may have 50 MB
	MaxOtherBytes = 1 << 20  // of every other kind
)

// parseLine adds a line to the batch. Its error is KindInvalid, with a message that names the field
// and the reason. The batch shares no memory with text.
func parseLine(text []byte, number int, b *catalog.Batch) error {
	o, err := parseObject(text)
	if err != nil {
		return domain.Errorf(domain.KindInvalid, "%v", err)
	}
	f := &fields{object: o}
	kind := f.oneOf("kind", "agent", "conversation", "message", "recording", "total")
	if f.err == nil && kind != "" && kind != "conversation" && len(text) > MaxOtherBytes {
		return domain.Errorf(domain.KindInvalid, "longer than %d bytes; only a conversation's line may be", MaxOtherBytes)
	}
	switch kind {
	case "agent":
		add(f, number, &b.Agents, parseAgent)
	case "conversation":
		add(f, number, &b.Conversations, parseConversation)
	case "message":
		add(f, number, &b.Messages, parseMessage)
	case "recording":
		add(f, number, &b.Recordings, parseRecording)
	case "total":
		add(f, number, &b.Totals, parseTotal)
	default:
		f.fail("kind", "is missing")
	}
	return f.err
}

// add parses the fields and appends the result to the lines of its kind.
func add[T any](f *fields, number int, lines *[]catalog.Line[T], parse func(f *fields) *T) {
	if value := parse(f); f.err == nil {
		*lines = append(*lines, catalog.Line[T]{Number: number, Value: *value})
	}
}

func parseAgent(f *fields) *domain.Agent {
	return &domain.Agent{
		ID:          f.id("agentId", true),
		Name:        f.label("name", false),
		Description: f.text("description", false),
		Body:        f.object.without("kind"),
	}
}

func parseMessage(f *fields) *domain.Message {
	return &domain.Message{
		ID:             f.id("messageId", true),
		ConversationID: f.id("conversationId", true),
		Time:           f.unixTime("time"),
		Type:           f.label("type", true),
		Body:           f.object.without("kind"),
	}
}

func parseRecording(f *fields) *domain.Recording {
	r := &domain.Recording{
		ConversationID: f.id("conversationId", true),
		SessionID:      f.id("sessionId", true),
		Type:           f.id("type", true),
		ObjectKey:      f.key("objectKey"),
		Size:           f.size("sizeBytes"),
		ContentType:    f.label("contentType", false),
		CRC32:          f.crc32("crc32"),
		SHA256:         f.sha256("sha256"),
	}
	if n := f.integer("messageId", true); n != nil {
		r.MessageID = *n
	}
	if t := f.time("timestamp", true); t != nil {
		r.Timestamp = *t
	}
	if strings.ContainsFunc(r.ContentType, func(c rune) bool { return c < ' ' || c > '~' }) {
		f.fail("contentType", "must be printable ASCII")
	}
	return r
}

func parseTotal(f *fields) *domain.Total {
	t := &domain.Total{Hour: domain.WholeDay}
	day, err := domain.ParseDay(f.text("day", true))
	if err != nil || day < firstDay {
		f.fail("day", "must be a real UTC day from 1970 on such as 2025-12-12")
	}
	t.Day = day
	if f.object.get("hour") != nil {
		hour := f.text("hour", false)
		n, err := strconv.ParseUint(hour, 10, 8)
		if err != nil || len(hour) != 2 || n > 23 {
			f.fail("hour", `must be two digits from "00" to "23"`)
		}
		t.Hour = int(n)
	}
	if n := f.integer("recordings", true); n != nil {
		if t.Recordings = *n; *n < 0 || *n > domain.MaxTotal {
			f.fail("recordings", "must be from 0 to %d", int64(domain.MaxTotal))
		}
	}
	return t
}

// firstDay is the first day of which there can be a recording.
const firstDay = domain.Day("1970-01-01")

// parseConversation reads a conversation's line. An absent field keeps its former value. A field
// that is null or an empty text is cleared.
func parseConversation(f *fields) *domain.Conversation {
	for _, name := range []string{"agentId", "startTime"} {
		if f.object.isNull(name) {
			f.fail(name, "must not be null; leave it out to keep its value")
		}
	}
	c := &domain.Conversation{
		ID:                f.id("conversationId", true),
		ExternalID:        f.id("externalConversationId", false),
		SessionID:         f.id("sessionId", false),
		AgentID:           f.id("agentId", f.object.has("agentId")),
		SessionType:       f.label("sessionType", false),
		SessionStatus:     f.label("sessionStatus", false),
		Status:            f.oneOf("status", "initiated", "in-progress", "processing", "done", "failed"),
		CallSuccessful:    f.oneOf("callSuccessful", "success", "failure", "unknown"),
		End:               f.time("endTime", false),
		LastAction:        f.time("lastActionAt", false),
		Locale:            f.label("locale", false),
		Tags:              f.rawStrings("tags"),
		Metadata:          f.rawObject("metadata"),
		CallDirection:     f.label("callDirection", false),
		CallerPhone:       f.label("callerPhone", false),
		CalleePhone:       f.label("calleePhone", false),
		KeyMode:           f.label("keyMode", false),
		AgentModel:        f.label("agentModel", false),
		AgentArchitecture: f.label("agentArchitecture", false),
		BaseCost:          f.rawNumber("baseCost"),
		TotalCost:         f.rawNumber("totalCost"),
		User:              f.rawObject("user"),
	}
	if t := f.time("startTime", f.object.has("startTime")); t != nil {
		c.Start = *t
	}
	c.Cleared = f.cleared(c.Cleared, "externalConversationId", "sessionId", "sessionType", "sessionStatus", "status", "callSuccessful",
		"endTime", "lastActionAt", "locale", "tags", "metadata", "callDirection", "callerPhone", "calleePhone", "keyMode",
		"agentModel", "agentArchitecture", "baseCost", "totalCost", "user")
	f.nested("user", func(user *fields) { c.UserID = user.id("id", false) })
	parseTranscript(f, c)
	f.section(c, "postCallAnalysis", []string{"analysisData", "analyzedAt"}, func(analysis *fields) {
		c.AnalysisData = analysis.rawObject("analysisData")
		c.Analyzed = analysis.time("analyzedAt", false)
	})
	f.section(c, "recording", []string{"id", "objectKey", "createdAt"}, func(recording *fields) {
		c.RecordingID = recording.id("id", false)
		if recording.object.get("objectKey") != nil {
			c.RecordingKey = recording.key("objectKey")
		}
		c.RecordingCreated = recording.time("createdAt", false)
	})
	return c
}

func parseTranscript(f *fields, c *domain.Conversation) {
	f.section(c, "transcript", []string{"raw", "createdAt"}, func(section *fields) {
		if section.object.get("raw") != nil {
			raw := section.text("raw", false)
			c.TranscriptRaw = &raw
			c.TranscriptTurns, _ = transcript.Count(strings.NewReader(raw)) // reading a string can't fail
		}
		c.TranscriptCreated = section.time("createdAt", false)
	})
}

// section reads an object whose members are fields of the conversation. A null clears all of them.
func (f *fields) section(c *domain.Conversation, name string, members []string, read func(section *fields)) {
	if f.object.isNull(name) {
		for _, m := range members {
			c.Cleared = append(c.Cleared, name+"."+m)
		}
		return
	}
	f.nested(name, func(section *fields) {
		read(section)
		c.Cleared = section.cleared(c.Cleared, members...)
	})
}
