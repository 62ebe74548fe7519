package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

// TestRetry runs a transaction again while its function says so, and undoes what it did before.
func TestRetry(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			tries := 0
			insert := func(tx *Tx) error {
				if _, err := tx.ExecContext(t.Context(), `INSERT INTO things (name) VALUES ('a')`); err != nil {
					return err
				}
				if tries++; tries < 3 {
					return fmt.Errorf("not yet: %w", ErrRetry)
				}
				return nil
			}
			must(t, d.Update(t.Context(), insert))
			if n := number(t, d, `SELECT count(*) FROM things`); tries != 3 || n != 1 {
				t.Errorf("%d tries left %d rows", tries, n)
			}
			tries = 0
			err := d.Batch(t.Context(), func(tx *Tx) error {
				if _, err := tx.ExecContext(t.Context(), `DELETE FROM things`); err != nil {
					return err
				}
				return insert(tx)
			})
			if n := number(t, d, `SELECT count(*) FROM things`); err != nil || tries != 3 || n != 1 {
				t.Errorf("%d tries left %d rows, %v", tries, n, err)
			}
			tries = 0
			err = d.Update(t.Context(), func(*Tx) error {
				tries++
				return ErrRetry
			})
			if domain.KindOf(err) != domain.KindUnavailable || tries != maxAttempts {
				t.Errorf("%d tries, %v", tries, err)
			}
		})
	}
}

// TestErrors wants a kind for what the drivers say.
func TestErrors(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			ctx := t.Context()
			var n int64
			err := d.QueryRowContext(ctx, `SELECT n FROM things WHERE name = 'none'`).Scan(&n)
			if domain.KindOf(err) != domain.KindNotFound || !errors.Is(err, sql.ErrNoRows) {
				t.Errorf("no row: %v", err)
			}
			if err := NotFound(err, "%s does not exist", "none"); err.Error() != "none does not exist" {
				t.Errorf("no row: %v", err)
			}
			if _, err := d.ExecContext(ctx, `INSERT INTO things (name, n) VALUES ('a', 1000)`); domain.KindOf(err) != domain.KindBadCatalog {
				t.Errorf("a constraint: %v", err)
			}
			if _, err := d.ExecContext(ctx, `SELECT 1 FROM nothing`); domain.KindOf(err) != domain.KindUnavailable {
				t.Errorf("no table: %v", err)
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			if err := d.Update(ended, func(*Tx) error { return nil }); !errors.Is(err, context.Canceled) || domain.KindOf(err) == domain.KindUnavailable {
				t.Errorf("a caller that is gone: %v", err)
			}
		})
	}
}

// TestInsert adds more and fewer rows than one statement takes, in a transaction that sees them.
func TestInsert(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			err := d.Update(t.Context(), func(tx *Tx) error {
				total := int64(0)
				for _, n := range []int{0, 1, insertRows, 2*insertRows + 7} {
					var rows [][]any
					for i := range n {
						rows = append(rows, []any{fmt.Sprint(n, " ", i), i})
					}
					if err := tx.Insert(t.Context(), "things", []string{"name", "n"}, rows); err != nil {
						return err
					}
					total += int64(n)
					if got := number(t, tx, `SELECT count(*) FROM things`); got != total {
						t.Errorf("%d rows, want %d", got, total)
					}
				}
				return nil
			})
			must(t, err)
		})
	}
}

// TestRows reads all rows, or some of them.
func TestRows(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			d := migrated(t, url)
			ok, err := Affected(d.ExecContext(t.Context(), `INSERT INTO things (name, n) VALUES `+ParameterRows(3, 2), "a", 1, "b", 2, "c", 3))
			if err != nil || !ok {
				t.Fatalf("inserted: %v, %v", ok, err)
			}
			if ok, err := Affected(d.ExecContext(t.Context(), `UPDATE things SET n = 4 WHERE name = 'd'`)); err != nil || ok {
				t.Errorf("changed nothing: %v, %v", ok, err)
			}
			const all = `SELECT name FROM things ORDER BY name`
			list, err := Collect(t.Context(), d, Value[string], all)
			if err != nil || !slices.Equal(list, []string{"a", "b", "c"}) {
				t.Errorf("%v, %v", list, err)
			}
			list, err = Collect(t.Context(), d, Value[string], `SELECT name FROM things WHERE name IN (`+Parameters(1, 2)+`) ORDER BY name`, Texts([]string{"b", "c"})...)
			if err != nil || !slices.Equal(list, []string{"b", "c"}) {
				t.Errorf("%v, %v", list, err)
			}
			list = nil
			err = ScanUntil(t.Context(), d, func(rows *sql.Rows) (bool, error) {
				name, err := Value[string](rows)
				list = append(list, name)
				return name == "b", err
			}, all)
			if err != nil || !slices.Equal(list, []string{"a", "b"}) {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
}
