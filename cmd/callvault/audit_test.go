package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoChangeWithoutAudit checks that a change is not made when its line can't be written into the
// audit log.
func TestNoChangeWithoutAudit(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (int, string, string) { return callvault(t, nil, append(args, "--data="+dir)...) }
	must := func(args ...string) string {
		t.Helper()
		code, out, errs := run(args...)
		if code != exitOK {
			t.Fatal(errs)
		}
		return out
	}
	must("migrate", "up")
	must("tenant", "create", "acme")
	app, _, _ := strings.Cut(strings.TrimPrefix(strings.ReplaceAll(must("app", "create", "--tenant", "acme"), "client_id ", ""), " "), "\n")
	app = strings.TrimSpace(app)
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	state := func() (text string) {
		t.Helper()
		err := db.QueryRowContext(t.Context(), `SELECT json_array((SELECT json_group_array(json_array(id, name, retention_days)) FROM tenants),
			(SELECT json_group_array(json_array(id, hex(secret_hash), disabled_us)) FROM applications), (SELECT count(*) FROM api_keys),
			(SELECT json_group_array(json_array(id, retired_us)) FROM keys), (SELECT json_group_array(json_array(day, reopened_us)) FROM days),
			(SELECT count(*) FROM webhook_endpoints))`).Scan(&text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END`); err != nil {
		t.Fatal(err)
	}
	before := state()
	for _, args := range [][]string{
		{"tenant", "create", "beta"},
		{"tenant", "set", "acme", "--retention-days", "9"},
		{"app", "create", "--tenant", "acme"},
		{"app", "disable", "--tenant", "acme", app},
		{"app", "rotate", "--tenant", "acme", app},
		{"app", "delete", "--tenant", "acme", app},
		{"key", "create", "--tenant", "acme"},
		{"keys", "rotate"},
		{"archive", "--tenant", "acme", "--day", "2025-01-01", "--reopen"},
		{"webhook", "create", "--tenant", "acme", "--url", "https://hooks.example.org/"},
	} {
		code, _, errs := run(args...)
		if after := state(); code != exitFailed || after != before || !strings.Contains(errs, "catalog") {
			t.Errorf("%s: exit %d, printed %q, was\n%s\nis\n%s", strings.Join(args, " "), code, errs, before, after)
		}
	}
}
