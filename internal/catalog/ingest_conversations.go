package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// conversations writes the lines and makes sure that every recording's and message's conversation
// has a row: an empty one while nothing else is known. The upsert locks the rows that exist, also
// where it changes nothing. So a registration of recordings or messages and a change of their
// conversation never run side by side: whichever comes second sees the other.
func (r *registration) conversations(ctx context.Context, b *Batch) error {
	list, err := r.tellAll(b.Conversations)
	if err != nil {
		return err
	}
	rows := stagedConversations(list, b)
	if len(rows) == 0 {
		return nil
	}
	if err := r.stages.fill(ctx, conversationStage(), rows); err != nil {
		return err
	}
	late := slices.ContainsFunc(list, func(t told) bool { return t.late })
	fresh, count, err := r.insert(ctx, insertConversationsSQL(late), late)
	if err != nil || len(list) == 0 {
		return err
	}
	if late || count < len(rows) {
		if err := r.mergeConversations(ctx, list, fresh); err != nil {
			return err
		}
	}
	return r.transcripts(ctx, list)
}

func (r *registration) tellAll(lines []Line[domain.Conversation]) ([]told, error) {
	groups := byKey(lines, func(c *domain.Conversation) string { return c.ID })
	list := make([]told, 0, len(groups))
	h := sha256.New()
	for _, group := range groups {
		t, err := r.tell(group, h)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// stagedConversations gives the staged rows: what the lines tell, and the stubs of conversations that
// only recordings and messages name.
func stagedConversations(list []told, b *Batch) [][]any {
	rows := make([][]any, 0, len(list))
	known := make(map[string]bool, len(list))
	for i := range list {
		rows = append(rows, list[i].last[:atRaw])
		known[list[i].id] = true
	}
	stub := func(id string) {
		if !known[id] {
			known[id] = true
			row := make([]any, atRaw)
			row[atID] = id
			rows = append(rows, row)
		}
	}
	for i := range b.Recordings {
		stub(b.Recordings[i].Value.ConversationID)
	}
	for i := range b.Messages {
		stub(b.Messages[i].Value.ConversationID)
	}
	return rows
}

// insertConversationsSQL makes the rows that are new; with late, those that come late as stubs.
func insertConversationsSQL(late bool) string {
	columns := conversationStage().columns[:atSaid]
	values := slices.Clone(columns)
	for i := range values {
		if late && i != atID {
			values[i] = "CASE WHEN said < 0 THEN NULL ELSE " + columns[i] + " END"
		}
	}
	columns, values = append(slices.Clone(columns), "transcript_counted"), append(values, values[atHash])
	return `INSERT INTO conversations (tenant, ` + strings.Join(columns, ", ") + `, created_us, updated_us)
		SELECT CAST($1 AS TEXT), ` + strings.Join(values, ", ") + `, CAST($2 AS BIGINT), CAST($2 AS BIGINT) FROM stage_conversations WHERE TRUE ORDER BY id
		ON CONFLICT (tenant, id) DO UPDATE SET updated_us = conversations.updated_us WHERE conversations.tenant IS NULL`
}

// insert runs an upsert with the tenant and the time that changes no row which stands, and counts the new
// ones. Only with named it also says which they are.
func (r *registration) insert(ctx context.Context, query string, named bool) (fresh map[string]bool, count int, err error) {
	before := r.n.Changed
	if !named {
		err := r.exec(ctx, query, r.tenant, r.at)
		return nil, r.n.Changed - before, err
	}
	ids, err := collect(ctx, r.tx, func(rows *sql.Rows) (id string, err error) {
		err = rows.Scan(&id)
		return id, err
	}, query+" RETURNING id", r.tenant, r.at)
	fresh = make(map[string]bool, len(ids))
	for _, id := range ids {
		fresh[id] = true
	}
	r.n.Changed += len(ids)
	return fresh, len(ids), err
}

// mergeConversations puts what the lines tell over the rows that stood, or were inserted empty.
func (r *registration) mergeConversations(ctx context.Context, list []told, fresh map[string]bool) error {
	stood, err := r.stood(ctx, list)
	if err != nil || len(stood) == 0 {
		return err
	}
	if err := refuseLacking(stood); err != nil {
		return err
	}
	formers, err := r.compare(ctx, stood)
	if err != nil {
		return err
	}
	if err := r.keep(ctx, kindConversation, formers); err != nil {
		return err
	}
	var same, unsaid, renamed []string
	moved := map[string][]string{}
	for i := range stood {
		s := &stood[i]
		if !s.changed {
			same = append(same, s.id)
			continue
		}
		if fresh[s.id] {
			r.n.Changed-- // it is counted once
		}
		if s.said>>atRaw&1 != 0 && s.last[atRaw] == nil && s.row[atRaw] != nil {
			unsaid = append(unsaid, s.id)
		}
		if s.folder(s.row) != s.folder(s.last) && s.said>>atExternalID&1 != 0 {
			renamed = append(renamed, s.id)
		}
		if agent, ok := s.last[atAgentID].(string); ok && s.row[atAgentID] != agent {
			moved[agent] = append(moved[agent], s.id)
		}
	}
	if err := r.touchRenamed(ctx, renamed); err != nil {
		return err
	}
	if err := r.inChunks(ctx, same, `DELETE FROM stage_conversations WHERE CAST($1 AS TEXT) IS NOT NULL AND id IN (%s)`); err != nil {
		return err
	}
	if err := r.exec(ctx, updateConversationsSQL(), r.tenant, r.at); err != nil {
		return err
	}
	if err := r.inChunks(ctx, unsaid, `DELETE FROM transcripts WHERE tenant = $1 AND conversation_id IN (%s)`); err != nil {
		return err
	}
	return r.moveMessages(ctx, moved)
}

// folder is what stands for the conversation in archives.
func (s *stoodConversation) folder(row []any) any {
	if row[atExternalID] == nil {
		return s.id
	}
	return row[atExternalID]
}

// updateConversationsSQL writes what the lines tell where they say something new.
func updateConversationsSQL() string {
	var set []string
	for at, column := range conversationStage().columns[:atHash] {
		if at != atID {
			set = append(set, fmt.Sprintf("%[1]s = CASE WHEN s.said & %[2]d <> 0 THEN s.%[1]s ELSE conversations.%[1]s END", column, int64(1)<<at))
		}
	}
	// What a line lacks stays counted by the rules that counted it.
	counted := fmt.Sprintf(`transcript_counted = CASE WHEN s.said & %d <> 0 OR conversations.transcript_counted = conversations.line_hash
		THEN s.line_hash ELSE NULL END`, int64(1)<<atTurns)
	return `UPDATE conversations SET ` + strings.Join(set, ", ") + `, ` + counted + `, line_hash = s.line_hash, updated_us = $2
		FROM stage_conversations s WHERE conversations.tenant = $1 AND conversations.id = s.id
		AND s.line_hash IS NOT NULL AND conversations.line_hash IS DISTINCT FROM s.line_hash`
}

// touchRenamed notes the hours that hold recordings of conversations whose folder changes.
func (r *registration) touchRenamed(ctx context.Context, ids []string) error {
	for chunk := range slices.Chunk(ids, idChunk) {
		hours, err := collect(ctx, r.tx, func(rows *sql.Rows) (domain.HourKey, error) {
			k := domain.HourKey{Tenant: r.tenant}
			err := rows.Scan(&k.Day, &k.Hour)
			return k, err
		}, `SELECT DISTINCT day, hour FROM recordings WHERE tenant = $1 AND conversation_id IN (`+parameters(2, len(chunk))+`)`,
			append([]any{r.tenant}, texts(chunk)...)...)
		if err != nil {
			return err
		}
		r.touch = append(r.touch, hours...)
	}
	return nil
}

// idChunk is how many ids one statement names.
const idChunk = 500

// inChunks runs a statement on the tenant and some ids at a time.
func (r *registration) inChunks(ctx context.Context, ids []string, query string) error {
	for chunk := range slices.Chunk(ids, idChunk) {
		_, err := r.tx.ExecContext(ctx, fmt.Sprintf(query, parameters(2, len(chunk))), append([]any{r.tenant}, texts(chunk)...)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// transcripts keeps the raw transcripts of the lines. Their conversations' rows are locked already.
func (r *registration) transcripts(ctx context.Context, list []told) error {
	var rows [][]any
	for i := range list {
		if t := &list[i]; t.last[atRaw] != nil {
			rows = append(rows, []any{t.id, t.last[atRaw]})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.stages.fill(ctx, transcriptStage(), rows); err != nil {
		return err
	}
	_, err := r.tx.ExecContext(ctx, `INSERT INTO transcripts (tenant, conversation_id, raw)
		SELECT CAST($1 AS TEXT), conversation_id, raw FROM stage_transcripts WHERE TRUE ORDER BY conversation_id
		ON CONFLICT (tenant, conversation_id) DO UPDATE SET raw = excluded.raw WHERE transcripts.raw <> excluded.raw`, r.tenant)
	return err
}
