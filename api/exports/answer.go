package exports

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/transcript"
)

// The fields of these structs are in the order of the wire.

type exportMetadata struct {
	ExportedAt     string       `json:"exportedAt"`
	OrganizationID string       `json:"organizationId"`
	ConversationID string       `json:"conversationId"`
	DataVersion    string       `json:"dataVersion"`
	ExportType     string       `json:"exportType"`
	IncludedData   includedData `json:"includedData"`
	SchemaVersion  string       `json:"schemaVersion"`
}

type includedData struct {
	Transcript bool `json:"transcript"`
	Analysis   bool `json:"analysis"`
	Recording  bool `json:"recording"`
}

// head is the conversation's fields before its transcript.
type head struct {
	SessionID         *string         `json:"sessionId"`
	RoomName          string          `json:"roomName"`
	AgentID           string          `json:"agentId"`
	AgentName         *string         `json:"agentName"`
	SessionType       *string         `json:"sessionType"`
	SessionStatus     *string         `json:"sessionStatus"`
	AgentModel        *string         `json:"agentModel"`
	AgentArchitecture *string         `json:"agentArchitecture"`
	KeyMode           *string         `json:"keyMode"`
	CallDirection     *string         `json:"callDirection"`
	CallerPhone       *string         `json:"callerPhone"`
	CalleePhone       *string         `json:"calleePhone"`
	StartTime         string          `json:"startTime"`
	EndTime           *string         `json:"endTime"`
	Duration          json.RawMessage `json:"duration"` // seconds
	BaseCost          json.RawMessage `json:"baseCost"`
	TotalCost         json.RawMessage `json:"totalCost"`
	User              json.RawMessage `json:"user"`
	Agent             json.RawMessage `json:"agent"`
}

// afterRaw is the transcript's fields behind its raw text.
type afterRaw struct {
	Parsed    []functionCall  `json:"parsed"`
	CreatedAt *string         `json:"createdAt"`
	User      json.RawMessage `json:"user"`
}

type functionCall struct {
	Function   string          `json:"function"`
	Parameters json.RawMessage `json:"parameters"`
	Result     json.RawMessage `json:"result,omitempty"`
	Timestamp  *string         `json:"timestamp"`
}

// tail is the conversation's fields behind its transcript.
type tail struct {
	PostCallAnalysis *postCallAnalysis `json:"postCallAnalysis"`
	Recording        *recording        `json:"recording"`
	CreatedAt        string            `json:"createdAt"`
	UpdatedAt        string            `json:"updatedAt"`
	FunctionCalls    []functionCall    `json:"functionCalls"`
}

type postCallAnalysis struct {
	AnalysisData json.RawMessage `json:"analysisData"`
	AnalyzedAt   *string         `json:"analyzedAt"`
	User         json.RawMessage `json:"user"`
	Agent        json.RawMessage `json:"agent"`
}

type recording struct {
	ID        string  `json:"id"`
	FileName  string  `json:"fileName"`
	SignedURL string  `json:"signedUrl"`
	URLExpiry string  `json:"urlExpiry"`
	CreatedAt *string `json:"createdAt"`
	Available bool    `json:"available"`
}

type summary struct {
	HasTranscript      bool            `json:"hasTranscript"`
	HasAnalysis        bool            `json:"hasAnalysis"`
	HasRecording       bool            `json:"hasRecording"`
	HasFunctionCalls   bool            `json:"hasFunctionCalls"`
	RecordingAvailable bool            `json:"recordingAvailable"`
	Duration           json.RawMessage `json:"duration"` // seconds
	CallCompleted      bool            `json:"callCompleted"`
	IsTelephonyCall    bool            `json:"isTelephonyCall"`
	HasBillingInfo     bool            `json:"hasBillingInfo"`
}

// answer is an export before its transcript is read.
type answer struct {
	at       time.Time // of the export
	start    time.Time // of the conversation
	metadata exportMetadata
	head     head
	raw      *conversations.Transcript // nil when the export has none
	afterRaw afterRaw
	tail     tail
	summary  summary
}

// assemble puts an export together. Errors: KindUnavailable, KindBadCatalog.
func (h *handler) assemble(ctx context.Context, who caller, req request, e conversations.Export) (*answer, error) {
	c := e.Conversation
	a := &answer{at: h.deps.Now().UTC().Truncate(time.Second), start: c.Start, raw: e.Transcript}
	a.metadata = exportMetadata{ExportedAt: web.Time(a.at), OrganizationID: who.tenant, ConversationID: c.ID, DataVersion: "1.1",
		ExportType: "single_conversation", IncludedData: includedData{req.transcript, req.analysis, req.recording}, SchemaVersion: "billing-session-v1"}
	for _, raw := range []json.RawMessage{c.BaseCost, c.TotalCost, c.AnalysisData} {
		if raw != nil && !json.Valid(raw) {
			return nil, domain.Errorf(domain.KindBadCatalog, "the catalog holds JSON that is none")
		}
	}
	person, personBrief, err := user(c.User)
	if err != nil {
		return nil, err
	}
	bot, botBrief, err := agent(e.Agent)
	if err != nil {
		return nil, err
	}
	a.head = headOf(c, e.Agent)
	a.head.User, a.head.Agent = person, bot
	a.afterRaw = afterRaw{CreatedAt: timeOrNull(c.TranscriptCreated), User: personBrief}
	a.tail = tail{CreatedAt: web.Time(c.Start), UpdatedAt: web.Time(updatedAt(c)), FunctionCalls: []functionCall{}}
	if req.analysis && c.AnalysisData != nil {
		a.tail.PostCallAnalysis = &postCallAnalysis{AnalysisData: c.AnalysisData, AnalyzedAt: timeOrNull(c.Analyzed), User: personBrief, Agent: botBrief}
	}
	if req.recording {
		if a.tail.Recording, err = h.describeRecording(ctx, who, c, a.at); err != nil {
			return nil, err
		}
	}
	a.summary = summary{
		HasTranscript: a.raw != nil, HasAnalysis: a.tail.PostCallAnalysis != nil, HasRecording: a.tail.Recording != nil,
		RecordingAvailable: h.deps.Recordings != nil, Duration: a.head.Duration, CallCompleted: c.End != nil,
		IsTelephonyCall: c.SessionType == "telephony" || c.CallerPhone != "" || c.CalleePhone != "",
		HasBillingInfo:  c.BaseCost != nil || c.TotalCost != nil,
	}
	return a, nil
}

func headOf(c domain.Conversation, a *domain.Agent) head {
	h := head{
		SessionID: web.TextOrNull(c.SessionID), RoomName: c.ID, AgentID: c.AgentID, SessionType: web.TextOrNull(c.SessionType), SessionStatus: web.TextOrNull(c.SessionStatus),
		AgentModel: web.TextOrNull(c.AgentModel), AgentArchitecture: web.TextOrNull(c.AgentArchitecture), KeyMode: web.TextOrNull(c.KeyMode),
		CallDirection: web.TextOrNull(c.CallDirection), CallerPhone: web.TextOrNull(c.CallerPhone), CalleePhone: web.TextOrNull(c.CalleePhone),
		StartTime: web.Time(c.Start), EndTime: timeOrNull(c.End), Duration: duration(c), BaseCost: c.BaseCost, TotalCost: c.TotalCost,
	}
	if a != nil {
		h.AgentName = web.TextOrNull(a.Name)
	}
	return h
}

func timeOrNull(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return web.TimeOrNull(*t)
}

// duration is the conversation's length in seconds; nil while it has no end. It is never negative,
// although the clock may have been set back during a call.
func duration(c domain.Conversation) json.RawMessage {
	if c.End == nil {
		return nil
	}
	us := max(0, c.End.UnixMicro()-c.Start.UnixMicro()) // a time.Duration holds only 292 years
	if us%1e6 == 0 {
		return strconv.AppendInt(nil, us/1e6, 10)
	}
	return strconv.AppendFloat(nil, float64(us)/1e6, 'f', -1, 64)
}

// updatedAt is the latest time of a conversation's parts. The time of ingestion does not count: it
// is about this service, not about the conversation.
func updatedAt(c domain.Conversation) time.Time {
	latest := c.Start
	for _, t := range []*time.Time{c.End, c.LastAction, c.TranscriptCreated, c.Analyzed, c.RecordingCreated} {
		if t != nil && t.After(latest) {
			latest = *t
		}
	}
	return latest
}

// functionCalls gives the function calls of a transcript.
func functionCalls(calls []transcript.Call, start time.Time) []functionCall {
	list := make([]functionCall, 0, len(calls))
	for _, c := range calls {
		at := c.At
		if at.IsZero() && c.Offset != nil {
			at = start.Add(time.Duration(*c.Offset * float64(time.Second)))
		}
		f := functionCall{Function: c.Function, Parameters: c.Parameters, Result: c.Result}
		if at.UTC().Year() <= 9999 {
			f.Timestamp = web.TimeOrNull(at)
		}
		list = append(list, f)
	}
	return list
}
