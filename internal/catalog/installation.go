package catalog

import (
	"context"
	"database/sql"
	"errors"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// ActionAdopt is the takeover of the archives bucket of an installation whose catalog is lost.
const ActionAdopt = "bucket.adopt"

// EnsureInstallation gives the id of this catalog's installation. The first call creates it. A
// catalog that was restored from a backup has the same id.
func (c *Catalog) EnsureInstallation(ctx context.Context) (id string, err error) {
	err = c.db.Update(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO installation (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, domain.NewToken()); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&id)
	})
	return id, err
}

// Installation gives the id of this catalog's installation; "" while none was created.
func (c *Catalog) Installation(ctx context.Context) (id string, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// HasArchivesUnder says whether the key of an archive in use begins with a text. It reads all of
// them.
func (c *Catalog) HasArchivesUnder(ctx context.Context, text string) (held bool, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM archives WHERE state IN ('published', 'superseded', 'retained') AND substr(object_key, 1, length($1)) = $1)`,
		text).Scan(&held)
	return held, err
}
