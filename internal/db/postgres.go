package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/callvault/callvault/internal/domain"
)

func (d *DB) openPostgres(dsn string) {
	pool := sql.OpenDB(connector{dsn: dsn, settings: settings})
	pool.SetMaxOpenConns(24)
	pool.SetMaxIdleConns(12)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	d.write, d.read, d.url, d.postgres = pool, pool, dsn, true
}

// settings are those of every session. Statements are written for READ COMMITTED, so that each sees
// what others committed while it waited for a lock; the server's default may be another one.
const settings = noJIT + "; SET default_transaction_isolation = 'read committed'"

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

// pooled says that PostgreSQL refused a prepared statement because another client has made it, or
// this one in another session: a pooler gives each session to several clients.
func pooled(err error) bool {
	state := SQLState(err)
	return state == "42P05" || state == "26000"
}

// SQLState is PostgreSQL's code of an error, the same in every language of the server; "" for other
// errors.
func SQLState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// PoolerAdvice says what to do about a pooler that does not keep sessions.
const PoolerAdvice = "let the pooler keep sessions (PgBouncer: pool_mode = session), or point CALLVAULT_DATABASE_URL past it, at PostgreSQL itself"

// KeepsSessions says whether each connection keeps its session of PostgreSQL, as it does without a
// pooler and behind one in session mode. It compares the sessions of two connections, several
// times, since a pooler decides anew at each statement. No statement is prepared, since that would
// stay in the sessions of others.
func (d *DB) KeepsSessions(ctx context.Context) (keeps bool, err error) {
	if !d.postgres {
		return true, nil
	}
	var conns [2]*sql.Conn
	defer func() {
		for _, c := range conns {
			if c != nil {
				err = errors.Join(err, c.Close())
			}
		}
	}()
	for i := range conns {
		if conns[i], err = d.write.Conn(ctx); err != nil {
			return false, domain.Wrap(domain.KindUnavailable, err, "the catalog database does not answer")
		}
	}
	const rounds = 5
	var first, pids [2]int
	for range rounds {
		for i, c := range conns {
			if err := c.QueryRowContext(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pids[i]); err != nil {
				return false, translate(err)
			}
		}
		if first[0] == 0 {
			first = pids
		}
		if pids != first || pids[0] == pids[1] {
			return false, nil
		}
	}
	return true, nil
}
