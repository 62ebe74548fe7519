package testenv

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
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

// PostgresText gives schema and rows of the database that a URL names, as pg_dump writes them.
func PostgresText(t testing.TB, url string) string {
	t.Helper()
	binary, err := find("pg_dump")
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	text, err := exec.CommandContext(t.Context(), binary, "--dbname", url).Output()
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return strings.HasPrefix(line, `\restrict`) || strings.HasPrefix(line, `\unrestrict`) // random
	})
	return strings.Join(lines, "\n")
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
