// Package dbtest shows tests how the databases would run a statement. It fills tables and reads
// plans; it does not judge them. Only tests import it.
package dbtest

import (
	"context"
	"database/sql"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/db"
)

// Question is a statement and its values.
type Question struct {
	SQL  string
	Args []any
}

// Ask makes a question.
func Ask(sql string, args ...any) Question { return Question{sql, args} }

// Fill runs statements, which end in ";\n", and on PostgreSQL analyzes the tables. The estimated
// costs of the questions are also checked before that, as in a catalog that is new or restored.
func Fill(t *testing.T, d *db.DB, statements string, questions map[string]Question) {
	t.Helper()
	estimate := func() {
		for _, q := range questions {
			if d.Postgres() {
				Explain(t, d, q)
			}
		}
	}
	estimate()
	for _, s := range strings.Split(statements, ";\n") {
		if _, err := d.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	estimate()
	if d.Postgres() {
		if _, err := d.ExecContext(t.Context(), "VACUUM ANALYZE"); err != nil {
			t.Fatal(err)
		}
	}
}

// Explain gives the lines of a statement's plan. On PostgreSQL it checks the estimated cost.
func Explain(t *testing.T, d *db.DB, q Question) []string {
	t.Helper()
	plan, err := Plan(context.Background(), d, d.Postgres(), q)
	if err != nil {
		t.Fatal(err)
	}
	if d.Postgres() {
		checkEstimate(t, plan)
	}
	return plan
}

// Plan gives the lines of a statement's plan, also within a transaction.
func Plan(ctx context.Context, q db.Querier, postgres bool, of Question) ([]string, error) {
	if postgres {
		return db.Collect(ctx, q, db.Value[string], "EXPLAIN "+of.SQL, of.Args...)
	}
	return db.Collect(ctx, q, func(rows *sql.Rows) (line string, err error) {
		var id, parent, unused int
		err = rows.Scan(&id, &parent, &unused, &line)
		return line, err
	}, "EXPLAIN QUERY PLAN "+of.SQL, of.Args...)
}

// CompiledFrom is the estimated cost from which PostgreSQL compiles a statement if JIT is on.
const CompiledFrom = 100_000

// checkEstimate fails when PostgreSQL would compile the statement if JIT was on. A plan with such a
// cost is probably wrong.
func checkEstimate(t *testing.T, plan []string) {
	t.Helper()
	cost := regexp.MustCompile(`cost=[0-9.]+\.\.([0-9.]+) `).FindStringSubmatch(plan[0])
	if cost == nil {
		t.Fatalf("it tells no cost: %s", plan[0])
	}
	if n, err := strconv.ParseFloat(cost[1], 64); err != nil || n >= CompiledFrom {
		t.Errorf("the estimate is %s, error %v:\n%s", cost[1], err, strings.Join(plan, "\n"))
	}
}
