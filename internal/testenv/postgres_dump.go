package testenv

import (
	"os"
	"os/exec"
	"strconv"
)

// Dump writes a backup of the server's first database into a file, with pg_dump, as operators do.
func (p *PostgresServer) Dump(file string) {
	p.t.Helper()
	p.tool("pg_dump", "--format", "custom", "--file", file, "postgres")
}

// Restore makes a new database of a backup, with pg_restore, and gives its URL.
func (p *PostgresServer) Restore(file, database string) string {
	p.t.Helper()
	p.check(p.exec(p.t.Context(), "CREATE DATABASE "+database+" TEMPLATE template0"))
	p.tool("pg_restore", "--exit-on-error", "--no-owner", "--dbname", database, file)
	return p.url(database)
}

// tool runs one of PostgreSQL's own programs against the server.
func (p *PostgresServer) tool(name string, args ...string) {
	p.t.Helper()
	binary, err := find(name)
	p.check(err)
	cmd := exec.CommandContext(p.t.Context(), binary, args...)
	host, port := "127.0.0.1", p.server.port
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+strconv.Itoa(port), "PGUSER="+postgresUser, "PGPASSWORD="+p.password)
	if output, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("testenv: %s: %v\n%s", name, err, output)
	}
}
