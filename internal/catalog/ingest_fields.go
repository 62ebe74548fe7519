package catalog

import "fmt"

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

// textOf gives a value in the form in which former values are stored.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}
