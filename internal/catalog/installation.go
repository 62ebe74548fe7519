package catalog

import (
	"context"
	"database/sql"
	"errors"
)

// ActionAdopt is an installation that took over the archives bucket of one whose catalog is lost.
const ActionAdopt = "bucket.adopt"

// EnsureInstallation gives the id of the installation that this catalog is of, and makes one at the
// first call. A catalog that was restored from a backup is of the same installation.
func (c *Catalog) EnsureInstallation(ctx context.Context) (id string, err error) {
	err = c.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO installation (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, newToken()); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&id)
	})
	return id, err
}

// Installation gives the id of the installation that this catalog is of; "" while none was made.
func (c *Catalog) Installation(ctx context.Context) (id string, err error) {
	err = c.read.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, translate(err)
}

// HasArchivesUnder says whether a served archive's key begins with a text: also one from before
// archives had a prefix. It reads them all.
func (c *Catalog) HasArchivesUnder(ctx context.Context, text string) (held bool, err error) {
	err = c.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM archives WHERE state IN ('published', 'superseded') AND substr(object_key, 1, length($1)) = $1)`,
		text).Scan(&held)
	return held, translate(err)
}
