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
	db := sql.OpenDB(sessions{dsn: dsn, settings: noJIT})
	db.SetMaxOpenConns(24)
	db.SetMaxIdleConns(12)
	db.SetConnMaxIdleTime(5 * time.Minute)
	c.write, c.source = pool{db, c.watch}, dsn
	c.read = c.write
}

// noJIT switches JIT compilation off. PostgreSQL decides on it by the cost estimate alone and compiles
// again at each run, which takes some 100 ms: longer than any statement of callvault should run. A
// server that was built without JIT accepts the setting too.
const noJIT = "SET jit = off"

// sessions makes connections to PostgreSQL. Each begins with the settings, which are SET statements:
// poolers refuse most startup parameters, and pass statements on.
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
