package catalog

import (
	"context"
	"database/sql"

	"github.com/callvault/callvault/internal/db"
)

// FormerKeys gives the object keys that conversations' own recordings had before lines replaced
// them, each with its conversation's id.
func (c *Catalog) FormerKeys(ctx context.Context, tenant string, conversations []string) (map[string]string, error) {
	keys := map[string]string{}
	field := conversationFields()[atRecordingKey].name
	args := append([]any{tenant, kindConversation, field}, db.Texts(conversations)...)
	err := c.db.View(ctx, func(tx *db.Tx) error {
		clear(keys)
		type row struct {
			id string
			formerRow
		}
		rows, err := db.Collect(ctx, tx, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.id, &r.seq, &r.field, db.Time(&r.at), &r.actor, &r.head, &r.tail)
			return r, err
		}, `SELECT id, seq, field, at_us, origin, head, tail FROM history
			WHERE tenant = $1 AND kind = $2 AND field = $3 AND id IN (`+db.Parameters(4, len(conversations))+`) ORDER BY id, seq DESC`, args...)
		if err != nil {
			return err
		}
		var w formerReader
		for i := range rows {
			r := &rows[i]
			if w.of.ID != r.id {
				w = formerReader{tx: tx, of: Subject{tenant, kindConversation, r.id}, after: map[string]string{}}
			}
			key, err := w.value(ctx, &r.formerRow)
			if err != nil {
				return err
			}
			keys[key] = r.id
		}
		return nil
	})
	return keys, err
}
