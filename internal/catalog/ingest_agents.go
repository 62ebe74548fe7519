package catalog

import (
	"context"
	"maps"
	"slices"
)

// Messages carry their conversation's agent, so that a page of a rare agent's messages reads no
// others. It is written where a message is, and here where a conversation's agent changes after
// its messages came.

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
