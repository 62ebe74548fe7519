package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"slices"

	"github.com/callvault/callvault/internal/domain"
)

// Places of a conversation's values in a row: first the columns of the stage, in its order.
const (
	atID = iota
	atExternalID
	atSessionID
	atAgentID
	atStatus
	atCallSuccessful
	atUserID
	atStart
	atEnd
	atLastAction
	atSessionType
	atSessionStatus
	atLocale
	atTags
	atMetadata
	atCallDirection
	atCallerPhone
	atCalleePhone
	atKeyMode
	atAgentModel
	atAgentArchitecture
	atBaseCost
	atTotalCost
	atUser
	atTranscriptCreated
	atTurns
	atAnalysis
	atAnalyzed
	atRecordingID
	atRecordingKey
	atRecordingCreated
	atHash
	atSaid // which of the values the lines tell, one bit for each; negative: see told.late
	atRaw  // the raw transcript, which lies in a table of its own
	places
)

// How the former values of a field are kept.
const (
	textForm = iota // as they are
	timeForm        // in microseconds since 1970
	jsonForm        // as they came in
)

// conversationField is one field of a conversation, or a column that follows one.
type conversationField struct {
	name   string // in lines; "" for what follows another field
	column string
	form   int
	long   bool // it may have megabytes, so that it is compared apart
}

// conversationFields gives the field of each place.
func conversationFields() [places]conversationField {
	return [places]conversationField{
		atID:                {column: "id"},
		atExternalID:        {name: "externalConversationId", column: "external_id"},
		atSessionID:         {name: "sessionId", column: "session_id"},
		atAgentID:           {name: "agentId", column: "agent_id"},
		atStatus:            {name: "status", column: "status"},
		atCallSuccessful:    {name: "callSuccessful", column: "call_successful"},
		atUserID:            {column: "user_id"},
		atStart:             {name: "startTime", column: "start_us", form: timeForm},
		atEnd:               {name: "endTime", column: "end_us", form: timeForm},
		atLastAction:        {name: "lastActionAt", column: "last_action_us", form: timeForm},
		atSessionType:       {name: "sessionType", column: "session_type"},
		atSessionStatus:     {name: "sessionStatus", column: "session_status"},
		atLocale:            {name: "locale", column: "locale"},
		atTags:              {name: "tags", column: "tags", form: jsonForm, long: true},
		atMetadata:          {name: "metadata", column: "metadata", form: jsonForm, long: true},
		atCallDirection:     {name: "callDirection", column: "call_direction"},
		atCallerPhone:       {name: "callerPhone", column: "caller_phone"},
		atCalleePhone:       {name: "calleePhone", column: "callee_phone"},
		atKeyMode:           {name: "keyMode", column: "key_mode"},
		atAgentModel:        {name: "agentModel", column: "agent_model"},
		atAgentArchitecture: {name: "agentArchitecture", column: "agent_architecture"},
		atBaseCost:          {name: "baseCost", column: "base_cost", form: jsonForm},
		atTotalCost:         {name: "totalCost", column: "total_cost", form: jsonForm},
		atUser:              {name: "user", column: "user_body", form: jsonForm, long: true},
		atTranscriptCreated: {name: "transcript.createdAt", column: "transcript_created_us", form: timeForm},
		atTurns:             {column: "transcript_turns"},
		atAnalysis:          {name: "postCallAnalysis.analysisData", column: "analysis", form: jsonForm, long: true},
		atAnalyzed:          {name: "postCallAnalysis.analyzedAt", column: "analyzed_us", form: timeForm},
		atRecordingID:       {name: "recording.id", column: "recording_id"},
		atRecordingKey:      {name: "recording.objectKey", column: "recording_key"},
		atRecordingCreated:  {name: "recording.createdAt", column: "recording_created_us", form: timeForm},
		atHash:              {column: "line_hash"},
		atSaid:              {column: "said"},
		atRaw:               {name: "transcript.raw", column: "raw", long: true},
	}
}

// conversationRow gives a line's values in their places.
func (r *registration) conversationRow(c *domain.Conversation) ([]any, error) {
	row := append(make([]any, 0, places), c.ID, orNull(c.ExternalID), orNull(c.SessionID), orNull(c.AgentID), orNull(c.Status),
		orNull(c.CallSuccessful), orNull(c.UserID), nil, nullable(c.End), nullable(c.LastAction), orNull(c.SessionType),
		orNull(c.SessionStatus), orNull(c.Locale), jsonOrNull(c.Tags), jsonOrNull(c.Metadata), orNull(c.CallDirection),
		orNull(c.CallerPhone), orNull(c.CalleePhone), orNull(c.KeyMode), orNull(c.AgentModel), orNull(c.AgentArchitecture),
		jsonOrNull(c.BaseCost), jsonOrNull(c.TotalCost), jsonOrNull(c.User), nullable(c.TranscriptCreated), nil,
		jsonOrNull(c.AnalysisData), nullable(c.Analyzed), orNull(c.RecordingID), orNull(c.RecordingKey), nullable(c.RecordingCreated),
		nil, nil, nil)
	if !c.Start.IsZero() {
		row[atStart] = micros(c.Start)
	}
	if c.TranscriptTurns != nil {
		row[atTurns] = int64(*c.TranscriptTurns)
	}
	if c.TranscriptRaw != nil {
		row[atRaw] = *c.TranscriptRaw
	}
	said, err := r.said(row, c.Cleared)
	row[atSaid] = said
	return row, err
}

func jsonOrNull(j json.RawMessage) any { return orNull(string(j)) }

// said gives a bit for each value that a line tells, also that there is none.
func (r *registration) said(row []any, cleared []string) (said int64, err error) {
	for at, v := range row {
		if v != nil {
			said |= 1 << at
		}
	}
	for _, name := range cleared {
		at := 1
		for at < places && r.fields[at].name != name {
			at++
		}
		if at == places {
			return 0, fmt.Errorf("a conversation has no field %q", name)
		}
		said |= 1 << at
	}
	said |= said >> atUser & 1 << atUserID
	said |= said >> atRaw & 1 << atTurns
	return said, nil
}

// hashRow tells what one line says from all that others could say: each value with its length
// before it. So a repeat is known as one.
func hashRow(h hash.Hash, row []any) error {
	var n [8]byte
	number := func(v int64) { _, _ = h.Write(binary.BigEndian.AppendUint64(n[:0], uint64(v))) }
	number(row[atSaid].(int64)) //nolint:forcetypeassert // conversationRow set it
	for _, v := range row {
		switch v := v.(type) {
		case nil: // whether it is told stands first
		case string:
			number(int64(len(v)))
			_, _ = h.Write([]byte(v)) // a hash takes everything
		case int64:
			number(v)
		default:
			return fmt.Errorf("a conversation's value: no hash of a %T", v)
		}
	}
	return nil
}

// told is what the lines of a batch say of one conversation, in their order.
type told struct {
	id      string
	line    int      // the number of the first
	late    bool     // it is inserted empty and filled after, as lines may replace each other, or the first may lack what a new one needs
	lacks   string   // what the first line lacks, unless the conversation is known
	said    int64    // which values any of the lines tells
	first   []any    // of each value, the first that is told
	last    []any    // and the last
	between []former // what lines of the batch replaced of each other
}

// tell puts a conversation's lines together.
func (r *registration) tell(lines []Line[domain.Conversation], h hash.Hash) (told, error) {
	t := told{id: lines[0].Value.ID, line: lines[0].Number, late: len(lines) > 1}
	h.Reset()
	for i := range lines {
		row, err := r.conversationRow(&lines[i].Value)
		if err != nil {
			return t, err
		}
		if err := hashRow(h, row); err != nil {
			return t, err
		}
		r.overlay(&t, row)
	}
	// Its length tells it from the hash of a program that takes a line for the whole truth: that one
	// must not take what was merged for its own line.
	t.last[atHash] = h.Sum([]byte{lineHashVersion})
	t.last[atSaid] = t.said
	if t.late {
		t.last[atSaid] = t.said | -1<<63
	}
	return t, nil
}

// lineHashVersion comes before the SHA-256 in a conversation's hash.
const lineHashVersion = 2

// overlay puts a line's values over those of the lines before.
func (r *registration) overlay(t *told, row []any) {
	said := row[atSaid].(int64) //nolint:forcetypeassert // conversationRow set it
	if t.first == nil {
		t.first, t.last, t.said = row, row, said
		if t.late {
			t.last = slices.Clone(row)
		}
		switch {
		case row[atAgentID] == nil:
			t.lacks, t.late = "agentId", true
		case row[atStart] == nil:
			t.lacks, t.late = "startTime", true
		}
		return
	}
	for at := atID + 1; at < places; at++ {
		switch {
		case said>>at&1 == 0 || at == atHash || at == atSaid:
			continue
		case t.said>>at&1 == 0:
			t.first[at] = row[at]
		case t.last[at] != nil && t.last[at] != row[at] && r.fields[at].name != "":
			t.between = append(t.between, formerOf(t.id, r.fields[at].name, textOf(t.last[at]), row[at]))
		}
		t.last[at] = row[at]
	}
	t.said |= said
}

// textOf gives a value as it is kept among the former ones.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}
