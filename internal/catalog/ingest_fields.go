package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"slices"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// Indexes of a conversation's values in a row. The columns of the staging table come first, in its
// order.
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
	atPresent // mask with one bit for each field that the lines have; negative where insertStub is set
	atRaw     // the raw transcript, which has a table of its own
	valueCount
)

// The forms in which former values of a field are stored.
const (
	textForm = iota // unchanged
	timeForm        // in microseconds since 1970
	jsonForm        // JSON, as it was taken in
)

// conversationField is a field of a conversation, or a column that is derived from one.
type conversationField struct {
	name   string // name in lines; "" for a derived column
	column string
	form   int
	long   bool // it may have megabytes and is compared separately
}

// conversationFields gives the field of each index.
func conversationFields() [valueCount]conversationField {
	return [valueCount]conversationField{
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
		atPresent:           {column: "present"},
		atRaw:               {name: "transcript.raw", column: "raw", long: true},
	}
}

// conversationRow gives a line's values as a row.
func (r *registration) conversationRow(c *domain.Conversation) ([]any, error) {
	row := append(make([]any, 0, valueCount), c.ID, db.OrNull(c.ExternalID), db.OrNull(c.SessionID), db.OrNull(c.AgentID), db.OrNull(c.Status),
		db.OrNull(c.CallSuccessful), db.OrNull(c.UserID), nil, db.Nullable(c.End), db.Nullable(c.LastAction), db.OrNull(c.SessionType),
		db.OrNull(c.SessionStatus), db.OrNull(c.Locale), jsonOrNull(c.Tags), jsonOrNull(c.Metadata), db.OrNull(c.CallDirection),
		db.OrNull(c.CallerPhone), db.OrNull(c.CalleePhone), db.OrNull(c.KeyMode), db.OrNull(c.AgentModel), db.OrNull(c.AgentArchitecture),
		jsonOrNull(c.BaseCost), jsonOrNull(c.TotalCost), jsonOrNull(c.User), db.Nullable(c.TranscriptCreated), nil,
		jsonOrNull(c.AnalysisData), db.Nullable(c.Analyzed), db.OrNull(c.RecordingID), db.OrNull(c.RecordingKey), db.Nullable(c.RecordingCreated),
		nil, nil, nil)
	if !c.Start.IsZero() {
		row[atStart] = db.Micros(c.Start)
	}
	if c.TranscriptTurns != nil {
		row[atTurns] = int64(*c.TranscriptTurns)
	}
	if c.TranscriptRaw != nil {
		row[atRaw] = *c.TranscriptRaw
	}
	present, err := r.mask(row, c.Cleared)
	row[atPresent] = present
	return row, err
}

func jsonOrNull(j json.RawMessage) any { return db.OrNull(string(j)) }

// mask gives the mask of a line's fields: those with a value and those that it clears.
func (r *registration) mask(row []any, cleared []string) (mask int64, err error) {
	for at, v := range row {
		if v != nil {
			mask |= 1 << at
		}
	}
	for _, name := range cleared {
		at := 1
		for at < valueCount && r.fields[at].name != name {
			at++
		}
		if at == valueCount {
			return 0, fmt.Errorf("a conversation has no field %q", name)
		}
		mask |= 1 << at
	}
	mask |= mask >> atUser & 1 << atUserID
	mask |= mask >> atRaw & 1 << atTurns
	return mask, nil
}

// hashRow adds a line to the hash: the mask, then each value after its length, so that different
// lines have different hashes. A repeated batch is recognised by its hash.
func hashRow(h hash.Hash, row []any) error {
	var n [8]byte
	write64 := func(v int64) { _, _ = h.Write(binary.BigEndian.AppendUint64(n[:0], uint64(v))) }
	write64(row[atPresent].(int64)) //nolint:forcetypeassert // conversationRow set it
	for _, v := range row {
		switch v := v.(type) {
		case nil: // the mask does not distinguish this from a value
			write64(-1) // no text has this length, and no number of a line has this value
		case string:
			write64(int64(len(v)))
			_, _ = h.Write([]byte(v)) // a hash takes everything
		case int64:
			write64(v)
		default:
			return fmt.Errorf("a conversation's value: no hash of a %T", v)
		}
	}
	return nil
}

// conversationPatch is one conversation's lines of a batch, merged in order.
type conversationPatch struct {
	id         string
	line       int      // the number of the first line
	insertStub bool     // a new row is inserted empty and then updated, because there are several lines or a required field is missing
	missing    string   // the required field that the first line lacks; "" for none
	present    int64    // mask of the fields of all lines
	first      []any    // the first value of each field
	last       []any    // the last value of each field
	replaced   []former // by a later line of this batch
}

// patchOf merges a conversation's lines.
func (r *registration) patchOf(lines []Line[domain.Conversation], h hash.Hash) (conversationPatch, error) {
	t := conversationPatch{id: lines[0].Value.ID, line: lines[0].Number, insertStub: len(lines) > 1}
	h.Reset()
	for i := range lines {
		row, err := r.conversationRow(&lines[i].Value)
		if err != nil {
			return t, err
		}
		if err := hashRow(h, row); err != nil {
			return t, err
		}
		r.mergeLine(&t, row)
	}
	t.last[atHash] = h.Sum(nil)
	t.last[atPresent] = t.present
	if t.insertStub {
		t.last[atPresent] = t.present | -1<<63
	}
	return t, nil
}

// mergeLine merges one more line into the patch.
func (r *registration) mergeLine(t *conversationPatch, row []any) {
	present := row[atPresent].(int64) //nolint:forcetypeassert // conversationRow set it
	if t.first == nil {
		t.first, t.last, t.present = row, row, present
		if t.insertStub {
			t.last = slices.Clone(row)
		}
		switch {
		case row[atAgentID] == nil:
			t.missing, t.insertStub = "agentId", true
		case row[atStart] == nil:
			t.missing, t.insertStub = "startTime", true
		}
		return
	}
	for at := atID + 1; at < valueCount; at++ {
		switch {
		case present>>at&1 == 0 || at == atHash || at == atPresent:
			continue
		case t.present>>at&1 == 0:
			t.first[at] = row[at]
		case t.last[at] != nil && t.last[at] != row[at] && r.fields[at].name != "":
			t.replaced = append(t.replaced, formerOf(t.id, r.fields[at].name, textOf(t.last[at]), row[at]))
		}
		t.last[at] = row[at]
	}
	t.present |= present
}

// textOf gives a value in the form in which former values are stored.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}
