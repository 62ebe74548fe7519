package db

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"
)

// Server is what the database says about itself.
type Server struct {
	Product   string // PostgreSQL or SQLite
	Version   string
	Number    int    // PostgreSQL's own number of its version, such as 140005
	Encoding  string // of the database
	ReadOnly  bool   // a standby, a file that may not be written, or set to take no writes
	MayCreate bool   // new tables in its schema
	Foreign   int    // tables of the schema that belong to somebody else
	Used      int    // connections of all clients
	Max       int    // connections that clients may have; 0 where nothing bounds them
	Pool      int    // connections that this process may open
}

// Inspect asks the database about itself. It changes nothing. It begins a transaction to find out
// whether a file of SQLite may be written, and rolls it back; of a file that was opened read-only
// it asks only the rights. Error: KindUnavailable.
func (d *DB) Inspect(ctx context.Context) (Server, error) {
	if !d.postgres {
		return d.inspectSQLite(ctx)
	}
	s := Server{Product: "PostgreSQL", Pool: d.write.Stats().MaxOpenConnections}
	err := d.QueryRowContext(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::int,
		current_setting('server_encoding'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
		coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE),
		(SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND NOT pg_has_role(tableowner, 'USAGE')),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int`).
		Scan(&s.Version, &s.Number, &s.Encoding, &s.ReadOnly, &s.MayCreate, &s.Foreign, &s.Used, &s.Max)
	return s, err
}

func (d *DB) inspectSQLite(ctx context.Context) (Server, error) {
	s := Server{Product: "SQLite", Encoding: "UTF8", MayCreate: true}
	if err := d.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&s.Version); err != nil {
		return s, err
	}
	if d.readOnly {
		for _, name := range []string{d.path, filepath.Dir(d.path)} {
			s.ReadOnly = s.ReadOnly || unix.Access(name, unix.W_OK) != nil
		}
		return s, nil
	}
	tx, err := d.write.BeginTx(ctx, nil) // takes the lock for writing
	if err != nil {
		return s, translate(err)
	}
	// The lock alone is also given of a file that may not be written.
	_, err = tx.ExecContext(ctx, `CREATE TABLE callvault_doctor (n INTEGER)`)
	if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
		err = errors.Join(err, undo)
	}
	if sqliteCode(err) == sqlite3.SQLITE_READONLY {
		s.ReadOnly, err = true, nil
	}
	return s, translate(err)
}
