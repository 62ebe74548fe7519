package catalog

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/db"
)

// EndSession ends a session of the console before it expires, for all replicas. Rows of sessions
// that have expired meanwhile are deleted.
func (c *Catalog) EndSession(ctx context.Context, id string, until time.Time) error {
	return c.db.Update(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM ended_sessions WHERE until_us <= (SELECT now_us FROM catalog_clock)`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO ended_sessions (id, until_us) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, db.Micros(until))
		return err
	})
}

// SessionEnded says whether a session was ended before it expired.
func (c *Catalog) SessionEnded(ctx context.Context, id string) (ended bool, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM ended_sessions WHERE id = $1)`, id).Scan(&ended)
	return ended, err
}
