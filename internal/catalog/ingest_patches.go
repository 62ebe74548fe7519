package catalog

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

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
	write64(row[atPresent].(int64)) // conversationRow set it
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
	present := row[atPresent].(int64) // conversationRow set it
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

// existingConversation is a conversation that its patch may change. row has the existing values,
// and for long ones their length in bytes.
type existingConversation struct {
	*conversationPatch
	row     []any
	changed bool
}

// existing reads the existing rows of the patched conversations. A row with the patch's hash is
// left out, because the same lines changed it last. The rows are locked.
func (r *registration) existing(ctx context.Context, patches []conversationPatch) ([]existingConversation, error) {
	byID := make(map[string]*conversationPatch, len(patches))
	for i := range patches {
		byID[patches[i].id] = &patches[i]
	}
	return db.Collect(ctx, r.tx, func(rows *sql.Rows) (existingConversation, error) {
		row := make([]any, valueCount)
		into := []any{&row[atID]}
		for at, f := range r.fields {
			if f.name != "" {
				into = append(into, &row[at])
			}
		}
		err := rows.Scan(into...)
		id, _ := row[atID].(string)
		return existingConversation{conversationPatch: byID[id], row: row}, err
	}, existingSQL(), r.tenant)
}

// existingSQL joins from the few staged rows.
func existingSQL() string {
	columns := []string{"c.id"}
	for at, f := range conversationFields() {
		column := "c." + f.column
		if at == atRaw {
			column = "t." + f.column
		}
		if f.long {
			column = "CAST(octet_length(" + column + ") AS BIGINT)"
		}
		if f.name != "" {
			columns = append(columns, column)
		}
	}
	return `SELECT ` + strings.Join(columns, ", ") + ` FROM stage_conversations s
		CROSS JOIN conversations c LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id
		WHERE c.tenant = $1 AND c.id = s.id AND s.line_hash IS NOT NULL AND c.line_hash IS DISTINCT FROM s.line_hash`
}

// refuseIncomplete refuses the first line of a new conversation that lacks a required field.
func refuseIncomplete(existing []existingConversation) error {
	var first *conversationPatch
	for _, s := range existing {
		if s.missing != "" && s.row[atStart] == nil && (first == nil || s.line < first.line) {
			first = s.conversationPatch
		}
	}
	if first == nil {
		return nil
	}
	return refuse(first.line, domain.KindInvalid, "%q is missing; the first line of a conversation needs it", first.missing)
}

// compare marks the conversations that change, and gives the replaced and cleared values.
func (r *registration) compare(ctx context.Context, existing []existingConversation) ([]former, error) {
	var formers []former
	var long [valueCount][]longValue
	for i := range existing {
		s := &existing[i]
		s.changed = len(s.replaced) > 0
		for at, f := range r.fields {
			before, after := s.row[at], s.first[at]
			switch {
			case f.name == "" || s.present>>at&1 == 0:
			case before == nil || f.long && !worthReading(before, after):
				s.changed = s.changed || before != s.last[at]
				if before != nil {
					formers = append(formers, former{id: s.id, field: f.name, copied: true, cleared: after == nil})
				}
			case f.long:
				long[at] = append(long[at], longValue{s, before.(int64)}) // existingSQL selects its length
			default:
				s.changed = s.changed || before != s.last[at]
				if before != after {
					formers = append(formers, formerOf(s.id, f.name, textOf(before), after))
				}
			}
		}
	}
	for at := range long {
		more, err := r.compareLong(ctx, at, long[at])
		if err != nil {
			return nil, err
		}
		formers = append(formers, more...)
	}
	for i := range existing {
		formers = append(formers, existing[i].replaced...)
	}
	return formers, nil
}

// worthReading says whether an existing long value is read to compare it with the new one. A value
// that is much longer differs anyway, and has too little in common with the new one to be stored as
// a difference. Then the database copies it, so that the program's memory is bounded by the size of
// its lines.
func worthReading(before, after any) bool {
	length, _ := before.(int64)
	text, set := after.(string)
	return set && int64(len(text)) >= length/2
}

// longValue is an existing value that must be read.
type longValue struct {
	of     *existingConversation
	length int64
}

// compareLong compares one field of some conversations, reading a few values at a time.
func (r *registration) compareLong(ctx context.Context, at int, list []longValue) (formers []former, err error) {
	table, id := "conversations", "id"
	if at == atRaw {
		table, id = "transcripts", "conversation_id"
	}
	byID := make(map[string]*existingConversation, len(list))
	rows := make([]sizedRow, 0, len(list))
	for _, v := range list {
		byID[v.of.id] = v.of
		rows = append(rows, sizedRow{v.of.id, v.length})
	}
	err = inSizedChunks(rows, func(ids []string) error {
		found, err := db.Collect(ctx, r.tx, func(rows *sql.Rows) (v former, err error) {
			err = rows.Scan(&v.id, &v.value)
			return v, err
		}, `SELECT `+id+`, `+r.fields[at].column+` FROM `+table+` WHERE tenant = $1 AND `+id+` IN (`+db.Parameters(2, len(ids))+`)`, append([]any{r.tenant}, db.Texts(ids)...)...)
		for _, v := range found {
			s := byID[v.id]
			s.changed = s.changed || s.last[at] != v.value
			if s.first[at] == v.value {
				continue
			}
			f := formerOf(v.id, r.fields[at].name, v.value, s.first[at])
			if len(f.value) == len(v.value) && len(f.value) > shortValue { // they have too little in common
				f.value, f.copied = "", true
			}
			formers = append(formers, f)
		}
		return err
	})
	return formers, err
}
