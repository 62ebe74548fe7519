package catalog

import (
	"context"
	"database/sql"
	"maps"
	"slices"
)

// Messages carry their conversation's agent, so that a page of a rare agent's messages reads no
// others. It is written where a message is, and here where a conversation's agent changes after
// its messages came.

// movedSQL finds the conversations whose agent is about to change, with the new one. The joins
// begin at the few staged rows.
const movedSQL = `SELECT s.id, s.agent_id FROM stage_conversations s
	CROSS JOIN conversations c WHERE c.tenant = $1 AND c.id = s.id
	AND s.line_hash IS NOT NULL AND c.agent_id IS DISTINCT FROM s.agent_id`

// moved lists the conversations whose agent is about to change, by their new agent. A conversation
// that was just inserted is none of them: it had no messages, else it had a row.
func (r *registration) moved(ctx context.Context) (map[string][]string, error) {
	type move struct{ id, agent string }
	moves, err := collect(ctx, r.tx, func(rows *sql.Rows) (m move, err error) {
		err = rows.Scan(&m.id, &m.agent)
		return m, err
	}, movedSQL, r.tenant)
	byAgent := map[string][]string{}
	for _, m := range moves {
		byAgent[m.agent] = append(byAgent[m.agent], m.id)
	}
	return byAgent, err
}

// moveMessages gives the messages of conversations their new agents. Their conversations' rows
// are locked.
func (r *registration) moveMessages(ctx context.Context, byAgent map[string][]string) error {
	const chunk = 500
	for _, agent := range slices.Sorted(maps.Keys(byAgent)) {
		for ids := range slices.Chunk(byAgent[agent], chunk) {
			args := []any{r.tenant, agent}
			for _, id := range ids {
				args = append(args, id)
			}
			_, err := r.tx.ExecContext(ctx, `UPDATE messages SET agent_id = $2 WHERE tenant = $1 AND conversation_id IN (`+
				parameters(3, len(ids))+`)`, args...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
