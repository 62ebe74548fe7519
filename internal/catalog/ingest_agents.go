package catalog

import (
	"context"
	"maps"
	"slices"

	"github.com/callvault/callvault/internal/db"
)

// Each message has its conversation's agent, so that a page of one agent's messages reads no
// others. The agent is written with the message, and changed here when the conversation's agent
// changes later.

// moveMessages sets the new agents of the messages of conversations. The conversations' rows are
// locked.
func (r *registration) moveMessages(ctx context.Context, byAgent map[string][]string) error {
	const chunk = 500
	for _, agent := range slices.Sorted(maps.Keys(byAgent)) {
		for ids := range slices.Chunk(byAgent[agent], chunk) {
			args := []any{r.tenant, agent}
			for _, id := range ids {
				args = append(args, id)
			}
			_, err := r.tx.ExecContext(ctx, `UPDATE messages SET agent_id = $2 WHERE tenant = $1 AND conversation_id IN (`+
				db.Parameters(3, len(ids))+`)`, args...)
			if err != nil {
				return err
			}
		}
	}
	return nil
}
