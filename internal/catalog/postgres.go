package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/callvault/callvault/internal/domain"
)

func (c *Catalog) openPostgres(dsn string) {
	db := sql.OpenDB(sessions{dsn: dsn, settings: noCompiling})
	db.SetMaxOpenConns(24)
	db.SetMaxIdleConns(12)
	db.SetConnMaxIdleTime(5 * time.Minute)
	c.write, c.source = pool{db, c.watch}, dsn
	c.read = c.write
}

// noCompiling keeps PostgreSQL from compiling statements. It does so by the estimate alone, anew at each
// run, and takes some 100 ms for it: no statement of callvault should run so long. A server that was
// built without a compiler knows the setting, too.
const noCompiling = "SET jit = off"

// sessions makes connections to PostgreSQL. The settings are statements that each of them begins with:
// poolers refuse most settings at the start of a connection, and take statements.
type sessions struct{ dsn, settings string }

// Connect reads the URL anew each time, since certificates and passwords in the files that it names
// can be renewed.
func (s sessions) Connect(ctx context.Context) (driver.Conn, error) {
	config, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "the database URL cannot be read; use postgres://user@host/name")
	}
	begin := func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, s.settings)
		if err != nil { // nobody else closes it
			err = errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
		}
		return err
	}
	return stdlib.GetConnector(*config, stdlib.OptionAfterConnect(begin)).Connect(ctx)
}

// Driver is the one that sql.Open knows as pgx.
func (s sessions) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
