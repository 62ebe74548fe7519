package catalog

import (
	"fmt"
	"slices"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// MaxBatch is how many lines one Register takes at most.
const MaxBatch = 5000

// Line is one line, with its number in its stream (from 1).
type Line[T any] struct {
	Number int
	Value  T
}

// Batch is the lines that one transaction takes in. Lines of one kind are in the order of their
// numbers. Lines with the same id are applied in this order.
type Batch struct {
	Origin        audit.Origin // who sent it
	Agents        []Line[domain.Agent]
	Conversations []Line[domain.Conversation]
	Messages      []Line[domain.Message]
	Recordings    []Line[domain.Recording]
	Totals        []Line[domain.Total]
}

// Kinds of lines, as former values and the audit log name them.
const (
	kindAgent        = "agent"
	kindConversation = "conversation"
	kindMessage      = "message"
	KindRecording    = "recording" // the id is the object key
	kindTotal        = "total"     // it leaves no former values, because no line replaces one
)

// ValidKind says whether lines of this kind leave former values.
func ValidKind(kind string) bool {
	return slices.Contains([]string{kindAgent, kindConversation, kindMessage, KindRecording}, kind)
}

// Len is the number of lines.
func (b *Batch) Len() int {
	return len(b.Agents) + len(b.Conversations) + len(b.Messages) + len(b.Recordings) + len(b.Totals)
}

// namedConversations gives the ids, with repeats, that lines of other kinds name.
func (b *Batch) namedConversations() (ids []string) {
	for i := range b.Recordings {
		ids = append(ids, b.Recordings[i].Value.ConversationID)
	}
	for i := range b.Messages {
		ids = append(ids, b.Messages[i].Value.ConversationID)
	}
	return ids
}

// conversationIDs gives the ids of all conversations that lines describe or name, each once.
func (b *Batch) conversationIDs() []string {
	ids := b.namedConversations()
	for i := range b.Conversations {
		ids = append(ids, b.Conversations[i].Value.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Counts says what was taken in. The ingest API and the import command answer with this JSON.
type Counts struct {
	Agents        int `json:"agents"` // lines of this kind
	Conversations int `json:"conversations"`
	Messages      int `json:"messages"`
	Recordings    int `json:"recordings"`
	Totals        int `json:"totals"`
	Changed       int `json:"changed"` // rows that are new or changed; a repeated line counts none
	// TooLate counts new recordings of days that are past retention or end before a build can
	// finish.
	TooLate int `json:"tooLate"`
	// Ahead counts recordings more than a day ahead of the catalog's clock: probably it is wrong.
	Ahead int `json:"ahead,omitempty"`
	// Erased counts lines of erased conversations. They are not stored.
	Erased int `json:"erased,omitempty"`
}

// KindCount is how many lines are of a kind.
type KindCount struct {
	Kind  string
	Lines int
}

// Kinds gives the counts of lines by kind.
func (n *Counts) Kinds() []KindCount {
	return []KindCount{{kindAgent, n.Agents}, {kindConversation, n.Conversations}, {kindMessage, n.Messages}, {KindRecording, n.Recordings}, {kindTotal, n.Totals}}
}

// Add adds o to n.
func (n *Counts) Add(o Counts) {
	n.Agents += o.Agents
	n.Conversations += o.Conversations
	n.Messages += o.Messages
	n.Recordings += o.Recordings
	n.Totals += o.Totals
	n.Changed += o.Changed
	n.TooLate += o.TooLate
	n.Ahead += o.Ahead
	n.Erased += o.Erased
}

// LineError is the refusal of one line. Err is a domain error whose message is safe to show.
type LineError struct {
	Line int
	Err  error
}

// Error gives the line's number and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *LineError) Unwrap() error { return e.Err }

func refuse(line int, kind domain.Kind, format string, args ...any) error {
	return &LineError{Line: line, Err: domain.Errorf(kind, format, args...)}
}
