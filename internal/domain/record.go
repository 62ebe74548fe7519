package domain

import (
	"encoding/json"
	"time"
)

// MaxIDBytes bounds every id and object key that callers send.
const (
	MaxIDBytes  = 512
	MaxKeyBytes = 1024 // S3's own limit for object keys
)

// Session names a session in all counts. A session's id alone may be used in several conversations.
type Session struct {
	ExternalConversationID string
	SessionID              string
}

// Agent is a bot, as lines of ingest describe it. Body is the line, without kind.
type Agent struct {
	ID          string
	Name        string
	Description string
	Body        json.RawMessage
}

// Conversation is one conversation, as lines of ingest describe it. Empty strings, nil pointers and
// nil JSON mean that the line lacks the field: its value is kept, unless Cleared names it. JSON
// fields keep the order of keys and the spelling of numbers.
type Conversation struct {
	ID                string
	ExternalID        string // "" while unknown: archives then use the conversation's id
	SessionID         string
	AgentID           string
	SessionType       string
	SessionStatus     string
	Status            string
	CallSuccessful    string
	Start             time.Time
	End               *time.Time
	LastAction        *time.Time
	Locale            string
	Tags              json.RawMessage // array of strings
	Metadata          json.RawMessage // object
	CallDirection     string
	CallerPhone       string
	CalleePhone       string
	KeyMode           string
	AgentModel        string
	AgentArchitecture string
	BaseCost          json.RawMessage // number
	TotalCost         json.RawMessage // number
	User              json.RawMessage // object
	UserID            string          // user.id, for filters
	TranscriptRaw     *string
	TranscriptCreated *time.Time
	TranscriptTurns   *int // spoken turns in the raw transcript; nil when it is not valid JSON or absent
	AnalysisData      json.RawMessage
	Analyzed          *time.Time
	RecordingID       string
	RecordingKey      string
	RecordingCreated  *time.Time

	Cleared []string // fields that the line clears, such as "locale" or "transcript.raw"
}

// Message is one message of a conversation. Body is the line, without kind.
type Message struct {
	ID             string
	ConversationID string
	Time           time.Time
	Type           string
	Body           json.RawMessage
}

// Recording is one audio file of a conversation. The archives contain recordings.
type Recording struct {
	ObjectKey      string
	ConversationID string
	SessionID      string
	MessageID      int64
	Type           string
	Timestamp      time.Time
	Size           *int64 // nil until the store has been asked
	ContentType    string
	CRC32          *uint32

	SHA256       *SHA256
	SHA256Origin string // who gave the sum first, one of the Sum constants
	// ETag is that of the object whose bytes callvault itself found to have the sum; "" for a sum
	// that was only told. Only with it does the sum stand for bytes that are not read again.
	ETag string
}

// Who gave a recording's SHA-256 first.
const (
	SumLine       = "line"
	SumUpload     = "upload"
	SumBuild      = "build"
	SumPatrol     = "patrol"
	SumCorrection = "correction" // an operator
)

// Who reads whole recordings and compares their SHA-256.
const (
	ReaderBuild  = "build"
	ReaderAudio  = "audio" // an API that gives a recording's bytes
	ReaderPatrol = "patrol"
)

// Differ reports whether two values are known and not equal.
func Differ[T comparable](a, b *T) bool { return a != nil && b != nil && *a != *b }
