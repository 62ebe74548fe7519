package db

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

func (d *DB) openPostgres(dsn string) {
	pool := sql.OpenDB(connector{dsn: dsn, settings: noJIT})
	pool.SetMaxOpenConns(24)
	pool.SetMaxIdleConns(12)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	d.write, d.read, d.url, d.postgres = pool, pool, dsn, true
}

// noJIT switches JIT compilation off. PostgreSQL decides by the estimated cost alone, and compiles
// again at each run. That takes some 100 ms, which is longer than any statement of callvault should
// run. A server that was built without JIT accepts the setting too.
const noJIT = "SET jit = off"

// connector makes connections to PostgreSQL. Each one begins with the settings, as SET statements:
// poolers refuse most startup parameters, but pass statements on.
type connector struct{ dsn, settings string }

// Connect reads the URL each time, because the certificates and passwords in the files that it
// names can be renewed.
func (s connector) Connect(ctx context.Context) (driver.Conn, error) {
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
func (s connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
