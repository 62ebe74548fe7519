package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

func (r *registration) agents(ctx context.Context, lines []Line[domain.Agent]) error {
	if len(lines) == 0 {
		return nil
	}
	lines = byKey(lines, func(a *domain.Agent) string { return a.ID })
	rows := make([][]any, 0, len(lines))
	for i := range lines {
		a := &lines[i].Value
		rows = append(rows, []any{a.ID, a.Name, orNull(a.Description), string(a.Body)})
	}
	if err := r.stages.fill(ctx, agentStage(), rows); err != nil {
		return err
	}
	return r.exec(ctx, `INSERT INTO agents (tenant, id, name, description, body, updated_us)
		SELECT CAST($1 AS TEXT), id, name, description, body, CAST($2 AS BIGINT) FROM stage_agents WHERE TRUE ORDER BY id
		ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, description = excluded.description,
			body = excluded.body, updated_us = excluded.updated_us
		WHERE agents.body <> excluded.body`, r.tenant, r.at)
}

func (r *registration) messages(ctx context.Context, lines []Line[domain.Message]) error {
	if len(lines) == 0 {
		return nil
	}
	lines = byKey(lines, func(m *domain.Message) string { return m.ID })
	rows := make([][]any, 0, len(lines))
	for i := range lines {
		m := &lines[i].Value
		rows = append(rows, []any{m.ID, m.ConversationID, micros(m.Time), m.Type, string(m.Body)})
	}
	if err := r.stages.fill(ctx, messageStage(), rows); err != nil {
		return err
	}
	return r.exec(ctx, `INSERT INTO messages (tenant, id, conversation_id, time_us, type, body, agent_id)
		SELECT CAST($1 AS TEXT), id, conversation_id, time_us, type, body,
			(SELECT c.agent_id FROM conversations c WHERE c.tenant = $1 AND c.id = stage_messages.conversation_id)
		FROM stage_messages WHERE TRUE ORDER BY id
		ON CONFLICT (tenant, id) DO UPDATE SET conversation_id = excluded.conversation_id, time_us = excluded.time_us,
			type = excluded.type, body = excluded.body, agent_id = excluded.agent_id
		WHERE messages.body <> excluded.body`, r.tenant)
}

// conversations writes the lines and makes sure that every recording's and message's conversation
// has a row: an empty one while nothing else is known. The upsert locks the rows that exist, also
// where it changes nothing. So a registration of recordings or messages and a change of their
// conversation never run side by side: whichever comes second sees the other.
func (r *registration) conversations(ctx context.Context, lines []Line[domain.Conversation], b *Batch) error {
	rows, err := conversationRows(lines, b)
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := r.stages.fill(ctx, conversationStage(), rows); err != nil {
		return err
	}
	columns := conversationStage().list()
	err = r.exec(ctx, `INSERT INTO conversations (tenant, `+columns+`, created_us, updated_us)
		SELECT CAST($1 AS TEXT), `+columns+`, CAST($2 AS BIGINT), CAST($2 AS BIGINT) FROM stage_conversations WHERE TRUE ORDER BY id
		ON CONFLICT (tenant, id) DO UPDATE SET updated_us = conversations.updated_us WHERE conversations.tenant IS NULL`, r.tenant, r.at)
	if err != nil || len(lines) == 0 {
		return err
	}
	renamed, err := r.renamed(ctx)
	if err != nil {
		return err
	}
	r.touch = append(r.touch, renamed...)
	moved, err := r.moved(ctx)
	if err != nil {
		return err
	}
	err = r.exec(ctx, `UPDATE conversations SET `+conversationAssignments()+`, updated_us = $2
		FROM stage_conversations s WHERE conversations.tenant = $1 AND conversations.id = s.id
		AND s.line_hash IS NOT NULL AND conversations.line_hash IS DISTINCT FROM s.line_hash`, r.tenant, r.at)
	if err != nil {
		return err
	}
	return r.moveMessages(ctx, moved)
}

func conversationAssignments() string {
	var set []string
	for _, column := range conversationStage().columns {
		if column != "id" {
			set = append(set, column+" = s."+column)
		}
	}
	return strings.Join(set, ", ")
}

// renamed lists the hours that hold recordings of conversations whose effective external id is
// about to change: the folder that those recordings lie in.
func (r *registration) renamed(ctx context.Context) ([]domain.HourKey, error) {
	return collect(ctx, r.tx, func(rows *sql.Rows) (domain.HourKey, error) {
		k := domain.HourKey{Tenant: r.tenant}
		err := rows.Scan(&k.Day, &k.Hour)
		return k, err
	}, `SELECT DISTINCT r.day, r.hour FROM stage_conversations s
		JOIN conversations c ON c.tenant = $1 AND c.id = s.id
		JOIN recordings r ON r.tenant = $1 AND r.conversation_id = s.id
		WHERE s.line_hash IS NOT NULL AND coalesce(c.external_id, c.id) <> coalesce(s.external_id, s.id)`, r.tenant)
}

// conversationRows gives the staged rows: the lines, and the stubs of conversations that only
// recordings and messages name, by id.
func conversationRows(lines []Line[domain.Conversation], b *Batch) ([][]any, error) {
	rows := make([][]any, 0, len(lines))
	known := make(map[string]bool, len(lines))
	columns := len(conversationStage().columns)
	for i := range lines {
		row, err := conversationRow(&lines[i].Value)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		known[lines[i].Value.ID] = true
	}
	stub := func(id string) {
		if !known[id] {
			known[id] = true
			row := make([]any, columns)
			row[0] = id
			rows = append(rows, row)
		}
	}
	for i := range b.Recordings {
		stub(b.Recordings[i].Value.ConversationID)
	}
	for i := range b.Messages {
		stub(b.Messages[i].Value.ConversationID)
	}
	return rows, nil
}

// conversationRow gives the values of conversationStage's columns.
func conversationRow(c *domain.Conversation) ([]any, error) {
	var turns any
	if c.TranscriptTurns != nil {
		turns = int64(*c.TranscriptTurns)
	}
	row := []any{c.ID, orNull(c.ExternalID), orNull(c.SessionID), orNull(c.AgentID), orNull(c.Status), orNull(c.CallSuccessful),
		orNull(c.UserID), micros(c.Start), nullable(c.End), nullable(c.LastAction), orNull(c.SessionType), orNull(c.SessionStatus),
		orNull(c.Locale), jsonOrNull(c.Tags), jsonOrNull(c.Metadata), orNull(c.CallDirection), orNull(c.CallerPhone),
		orNull(c.CalleePhone), orNull(c.KeyMode), orNull(c.AgentModel), orNull(c.AgentArchitecture), jsonOrNull(c.BaseCost),
		jsonOrNull(c.TotalCost), jsonOrNull(c.User), nullable(c.TranscriptCreated), turns, jsonOrNull(c.AnalysisData),
		nullable(c.Analyzed), orNull(c.RecordingID), orNull(c.RecordingKey), nullable(c.RecordingCreated)}
	hash, err := hashRow(row, c.TranscriptRaw)
	return append(row, hash), err
}

func jsonOrNull(j json.RawMessage) any { return orNull(string(j)) }

// hashRow tells one content of a line from every other: each value with its length before it.
func hashRow(row []any, transcript *string) ([]byte, error) {
	h := sha256.New()
	var length [8]byte
	write := func(s string, set bool) {
		n := uint64(len(s))<<1 | 1
		if !set {
			n = 0
		}
		h.Write(binary.BigEndian.AppendUint64(length[:0], n)) // a hash takes everything
		_, _ = h.Write([]byte(s))
	}
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			write("", false)
		case string:
			write(v, true)
		case int64:
			write(fmt.Sprint(v), true)
		default:
			return nil, fmt.Errorf("conversation column %s: no hash of a %T", conversationStage().columns[i], v)
		}
	}
	if transcript != nil {
		write(*transcript, true)
	}
	return h.Sum(nil), nil
}

// transcripts keeps the raw transcripts of the lines, and takes away those that lines no longer have.
// Their conversations' rows are locked already.
func (r *registration) transcripts(ctx context.Context, lines []Line[domain.Conversation]) error {
	if len(lines) == 0 {
		return nil
	}
	rows := make([][]any, 0, len(lines))
	for i := range lines {
		if c := &lines[i].Value; c.TranscriptRaw != nil {
			rows = append(rows, []any{c.ID, *c.TranscriptRaw})
		}
	}
	if err := r.stages.fill(ctx, transcriptStage(), rows); err != nil {
		return err
	}
	for _, q := range []string{
		`DELETE FROM transcripts WHERE tenant = $1 AND conversation_id IN (SELECT id FROM stage_conversations WHERE line_hash IS NOT NULL)
			AND conversation_id NOT IN (SELECT conversation_id FROM stage_transcripts)`,
		`INSERT INTO transcripts (tenant, conversation_id, raw)
			SELECT CAST($1 AS TEXT), conversation_id, raw FROM stage_transcripts WHERE TRUE ORDER BY conversation_id
			ON CONFLICT (tenant, conversation_id) DO UPDATE SET raw = excluded.raw WHERE transcripts.raw <> excluded.raw`,
	} {
		if _, err := r.tx.ExecContext(ctx, q, r.tenant); err != nil {
			return err
		}
	}
	return nil
}
