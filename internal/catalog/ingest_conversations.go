package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// conversations writes the conversations' lines, and inserts an empty row for each conversation
// that only a recording or message names. The upsert also locks rows that it does not change. So a
// registration of recordings or messages and a change of their conversation never run at the same
// time, and the second one sees the first.
func (r *registration) conversations(ctx context.Context, b *Batch) error {
	patches, err := r.patches(b.Conversations)
	if err != nil {
		return err
	}
	rows := stagedConversations(patches, b)
	if len(rows) == 0 {
		return nil
	}
	if err := r.stages.fill(ctx, conversationStage(), rows); err != nil {
		return err
	}
	stubs := slices.ContainsFunc(patches, func(t conversationPatch) bool { return t.insertStub })
	inserted, count, err := r.insert(ctx, insertConversationsSQL(stubs), stubs)
	if err != nil || len(patches) == 0 {
		return err
	}
	if stubs || count < len(rows) {
		if err := r.mergeConversations(ctx, patches, inserted); err != nil {
			return err
		}
	}
	return r.transcripts(ctx, patches)
}

func (r *registration) patches(lines []Line[domain.Conversation]) ([]conversationPatch, error) {
	groups := byKey(lines, func(c *domain.Conversation) string { return c.ID })
	patches := make([]conversationPatch, 0, len(groups))
	h := sha256.New()
	for _, group := range groups {
		t, err := r.patchOf(group, h)
		if err != nil {
			return nil, err
		}
		patches = append(patches, t)
	}
	return patches, nil
}

// stagedConversations gives the staged rows: the patches, and empty rows (stubs) for conversations
// that only recordings and messages name.
func stagedConversations(patches []conversationPatch, b *Batch) [][]any {
	rows := make([][]any, 0, len(patches))
	known := make(map[string]bool, len(patches))
	for i := range patches {
		rows = append(rows, patches[i].last[:atRaw])
		known[patches[i].id] = true
	}
	for _, id := range b.namedConversations() {
		if !known[id] {
			known[id] = true
			row := make([]any, atRaw)
			row[atID] = id
			rows = append(rows, row)
		}
	}
	return rows
}

// insertConversationsSQL inserts new rows. With stubs it inserts empty rows for patches with
// insertStub.
func insertConversationsSQL(stubs bool) string {
	columns := conversationStage().columns[:atPresent]
	values := slices.Clone(columns)
	for i := range values {
		if stubs && i != atID {
			values[i] = "CASE WHEN present < 0 THEN NULL ELSE " + columns[i] + " END"
		}
	}
	return `INSERT INTO conversations (tenant, ` + strings.Join(columns, ", ") + `, created_us, updated_us)
		SELECT CAST($1 AS TEXT), ` + strings.Join(values, ", ") + `, CAST($2 AS BIGINT), CAST($2 AS BIGINT) FROM stage_conversations WHERE TRUE ORDER BY id
		ON CONFLICT (tenant, id) DO UPDATE SET updated_us = conversations.updated_us WHERE conversations.tenant IS NULL`
}

// mergeConversations applies the patches to rows that existed or were inserted as stubs.
func (r *registration) mergeConversations(ctx context.Context, patches []conversationPatch, inserted map[string]bool) error {
	existing, err := r.existing(ctx, patches)
	if err != nil || len(existing) == 0 {
		return err
	}
	if err := refuseIncomplete(existing); err != nil {
		return err
	}
	formers, err := r.compare(ctx, existing)
	if err != nil {
		return err
	}
	if err := r.saveFormer(ctx, kindConversation, formers); err != nil {
		return err
	}
	var unchanged, cleared, renamed []string
	moved := map[string][]string{}
	for i := range existing {
		s := &existing[i]
		if !s.changed {
			unchanged = append(unchanged, s.id)
			continue
		}
		if inserted[s.id] {
			r.n.Changed-- // it is counted once
		}
		if s.present>>atRaw&1 != 0 && s.last[atRaw] == nil && s.row[atRaw] != nil {
			cleared = append(cleared, s.id)
		}
		if s.folder(s.row) != s.folder(s.last) && s.present>>atExternalID&1 != 0 {
			renamed = append(renamed, s.id)
		}
		if agent, ok := s.last[atAgentID].(string); ok && s.row[atAgentID] != agent {
			moved[agent] = append(moved[agent], s.id)
		}
	}
	if err := r.touchRenamed(ctx, renamed); err != nil {
		return err
	}
	if err := r.inChunks(ctx, unchanged, `DELETE FROM stage_conversations WHERE CAST($1 AS TEXT) IS NOT NULL AND id IN (%s)`); err != nil {
		return err
	}
	if err := r.exec(ctx, updateConversationsSQL(), r.tenant, r.at); err != nil {
		return err
	}
	if err := r.inChunks(ctx, cleared, `DELETE FROM transcripts WHERE tenant = $1 AND conversation_id IN (%s)`); err != nil {
		return err
	}
	return r.moveMessages(ctx, moved)
}

// folder is the name of the conversation's folder in archives.
func (s *existingConversation) folder(row []any) any {
	if row[atExternalID] == nil {
		return s.id
	}
	return row[atExternalID]
}

// updateConversationsSQL writes the present fields of patches with a new hash.
func updateConversationsSQL() string {
	var set []string
	for at, column := range conversationStage().columns[:atHash] {
		if at != atID {
			set = append(set, fmt.Sprintf("%[1]s = CASE WHEN s.present & %[2]d <> 0 THEN s.%[1]s ELSE conversations.%[1]s END", column, int64(1)<<at))
		}
	}
	return `UPDATE conversations SET ` + strings.Join(set, ", ") + `, line_hash = s.line_hash, updated_us = $2
		FROM stage_conversations s WHERE conversations.tenant = $1 AND conversations.id = s.id
		AND s.line_hash IS NOT NULL AND conversations.line_hash IS DISTINCT FROM s.line_hash`
}

// touchRenamed marks the hours that have recordings of conversations whose folder changes.
func (r *registration) touchRenamed(ctx context.Context, ids []string) error {
	for chunk := range slices.Chunk(ids, idChunk) {
		hours, err := db.Collect(ctx, r.tx, func(rows *sql.Rows) (domain.HourKey, error) {
			k := domain.HourKey{Tenant: r.tenant}
			err := rows.Scan(&k.Day, &k.Hour)
			return k, err
		}, `SELECT DISTINCT day, hour FROM recordings WHERE tenant = $1 AND conversation_id IN (`+db.Parameters(2, len(chunk))+`)`,
			append([]any{r.tenant}, db.Texts(chunk)...)...)
		if err != nil {
			return err
		}
		r.touched = append(r.touched, hours...)
	}
	return nil
}

// inChunks runs a statement on the tenant and some ids at a time.
func (r *registration) inChunks(ctx context.Context, ids []string, query string) error {
	for chunk := range slices.Chunk(ids, idChunk) {
		_, err := r.tx.ExecContext(ctx, fmt.Sprintf(query, db.Parameters(2, len(chunk))), append([]any{r.tenant}, db.Texts(chunk)...)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// transcripts writes the patches' raw transcripts. Their conversations' rows are locked already.
func (r *registration) transcripts(ctx context.Context, patches []conversationPatch) error {
	var rows [][]any
	for i := range patches {
		if t := &patches[i]; t.last[atRaw] != nil {
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

// moveMessages sets the new agents of the messages of conversations. Each message has its
// conversation's agent, so that a page of one agent's messages reads no others. The agent is
// written with the message, and changed here when the conversation's agent changes later. The
// conversations' rows are locked.
func (r *registration) moveMessages(ctx context.Context, byAgent map[string][]string) error {
	for _, agent := range slices.Sorted(maps.Keys(byAgent)) {
		for ids := range slices.Chunk(byAgent[agent], idChunk) {
			_, err := r.tx.ExecContext(ctx, `UPDATE messages SET agent_id = $2 WHERE tenant = $1 AND conversation_id IN (`+
				db.Parameters(3, len(ids))+`)`, append([]any{r.tenant, agent}, db.Texts(ids)...)...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
