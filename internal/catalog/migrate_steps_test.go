package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/callvault/callvault/internal/catalog/migrations"
	"github.com/callvault/callvault/internal/db"
)

// first is the step with the whole schema. Later steps are compared with the schema that it made.
const first = 31

// withNext gives this program's steps and those of a version that does not exist yet.
func withNext(t *testing.T) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	err := fs.WalkDir(migrations.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.Files, name)
		all[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"90000_next.sql": "-- +goose Up\nALTER TABLE days ADD COLUMN of_next INT NOT NULL DEFAULT 0;\nALTER TABLE hours ADD COLUMN of_next TEXT;\n" +
			"CREATE TABLE next (id TEXT PRIMARY KEY, tenant TEXT NOT NULL);\n",
		"90001_next_index.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY recordings_next ON recordings (registered_us);\n",
	} {
		all["postgres/"+name] = &fstest.MapFile{Data: []byte(text)}
		all["sqlite/"+name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, "CONCURRENTLY ", ""))}
	}
	return all
}

// upTo gives the steps up to one of them.
func upTo(t *testing.T, steps fstest.MapFS, version int) fs.FS {
	t.Helper()
	some := fstest.MapFS{}
	for name, file := range steps {
		if number, _, _ := strings.Cut(path.Base(name), "_"); number <= fmt.Sprintf("%05d", version) {
			some[name] = file
		}
	}
	return some
}

// openSteps opens the catalog of a program that has the given steps, until the test ends.
func openSteps(t *testing.T, url string, steps fs.FS) *Catalog {
	t.Helper()
	engine, err := db.Open(t.Context(), url, steps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Catalog{db: engine}
}

// atStep opens a new catalog whose steps are taken up to one of them. It knows the next version's.
func atStep(t *testing.T, url string, version int) *Catalog {
	t.Helper()
	if _, err := openSteps(t, url, upTo(t, withNext(t), version)).db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return openSteps(t, url, withNext(t))
}

// column is one column of a table.
type column struct {
	Table, Name, Type string
	Required, Filled  bool // it must be set; it has a default
}

func columns(t *testing.T, c *Catalog) (list []column) {
	t.Helper()
	query := `SELECT m.name, c.name, c.type, c."notnull" = 1 OR c.pk > 0, c.dflt_value IS NOT NULL FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%'`
	if c.db.Postgres() {
		query = `SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'NO', c.column_default IS NOT NULL OR c.is_identity = 'YES'
			FROM information_schema.columns c JOIN information_schema.tables t
			ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
			WHERE c.table_schema = 'public' AND c.table_name NOT LIKE 'goose_%'`
	}
	list, err := db.Collect(t.Context(), c.db, func(rows *sql.Rows) (o column, err error) {
		err = rows.Scan(&o.Table, &o.Name, &o.Type, &o.Required, &o.Filled)
		return o, err
	}, query)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d columns, error %v", len(list), err)
	}
	return list
}

// oneRow says that a table has one row at most.
func oneRow(table string) bool {
	return table == "clock" || table == "schema_support" || table == "installation"
}

// fill inserts one row into every table, naming only the given columns: as a program of their
// version writes. Every text is the same, so that rows refer to each other.
func fill(c *Catalog, list []column, text string, number int) error {
	byTable := map[string][]column{}
	order := []string{"tenants", "webhook_endpoints"} // others refer to these
	for _, o := range list {
		if byTable[o.Table] == nil && !slices.Contains(order, o.Table) {
			order = append(order, o.Table)
		}
		byTable[o.Table] = append(byTable[o.Table], o)
	}
	for _, table := range order {
		if byTable[table] == nil || oneRow(table) {
			continue
		}
		var names, places []string
		var values []any
		for _, o := range byTable[table] {
			if o.Name == "seq" { // numbers itself
				continue
			}
			names, places = append(names, o.Name), append(places, fmt.Sprintf("$%d", len(places)+1))
			switch kind := strings.ToLower(o.Type); {
			case strings.Contains(kind, "text"):
				values = append(values, text)
			case strings.Contains(kind, "bool"):
				values = append(values, true)
			case kind == "bytea" || kind == "blob":
				values = append(values, []byte(text))
			default:
				values = append(values, number)
			}
		}
		if _, err := c.db.ExecContext(context.Background(), "INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES ("+
			strings.Join(places, ", ")+")", values...); err != nil {
			return fmt.Errorf("insert into %s: %w", table, err)
		}
	}
	return nil
}

// TestUpgradeKeepsRows migrates a catalog that has the first step, with rows in every table.
// Replicas of that version write on meanwhile: what they read and write is still there afterwards.
func TestUpgradeKeepsRows(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c := atStep(t, url, first)
			old := columns(t, c)
			if err := fill(c, old, "before", 1); err != nil {
				t.Fatal(err)
			}
			stop, written := make(chan struct{}), make(chan int, 1)
			go func() {
				n := 0
				for ; ; n++ {
					if err := fill(c, old, fmt.Sprint("during ", n), n+10); err != nil {
						t.Error(err)
					}
					select {
					case <-stop:
						written <- n + 1
						return
					default:
					}
				}
			}()
			steps, err := c.db.Migrate(t.Context())
			close(stop)
			n := <-written
			if err != nil || steps == 0 {
				t.Fatalf("%d steps, error %v", steps, err)
			}
			t.Logf("%d rounds of writes in %d steps", n, steps)
			if err := fill(c, old, "after", 2); err != nil {
				t.Error(err)
			}
			for _, o := range old {
				if oneRow(o.Table) {
					continue
				}
				var rows int
				if err := c.db.QueryRowContext(t.Context(), "SELECT count("+o.Name+") FROM "+o.Table).Scan(&rows); err != nil || rows != n+2 {
					t.Errorf("%s.%s has %d values, want %d; error %v", o.Table, o.Name, rows, n+2, err)
				}
			}
			if err := c.db.CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStepsOnlyAdd checks every step after the first against what programs that do not know it
// need: their columns stay as they are, and new ones ask nothing of them.
func TestStepsOnlyAdd(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			steps := withNext(t)
			c := atStep(t, url, first)
			before := columns(t, c)
			files, err := fs.Glob(steps, name+"/*.sql")
			if err != nil || len(files) < 3 {
				t.Fatalf("%v, error %v", files, err)
			}
			for n, file := range files[1:] {
				some := fstest.MapFS{}
				for _, f := range files[:n+2] {
					some[f] = steps[f]
				}
				if _, err := openSteps(t, url, some).db.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				after := columns(t, c)
				if ends(t, steps, file) {
					before = after
					continue
				}
				tables := map[string]bool{}
				for _, o := range before {
					tables[o.Table] = true
					if !slices.Contains(after, o) {
						t.Errorf("%s: %s.%s is not what it was", file, o.Table, o.Name)
					}
				}
				for _, o := range after {
					if tables[o.Table] && !slices.Contains(before, o) && o.Required && !o.Filled {
						t.Errorf("%s: %s.%s must be set by programs that do not know it", file, o.Table, o.Name)
					}
				}
				before = after
			}
		})
	}
}

func stepText(t *testing.T, steps fs.FS, file string) string {
	t.Helper()
	text, err := fs.ReadFile(steps, file)
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	return up
}

// ends says that a step declares which programs it ends.
func ends(t *testing.T, steps fs.FS, file string) bool {
	t.Helper()
	return strings.Contains(stepText(t, steps, file), "UPDATE schema_support SET oldest")
}

// TestStepsHoldNobodyUp reads the steps after the first for what would keep replicas
// waiting on PostgreSQL, or take something from them.
func TestStepsHoldNobodyUp(t *testing.T) {
	steps := withNext(t)
	files, err := fs.Glob(steps, "postgres/*.sql")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, error %v", files, err)
	}
	for _, file := range files[1:] {
		for _, complaint := range holdsUp(stepText(t, steps, file)) {
			t.Errorf("%s: %s", path.Base(file), complaint)
		}
	}
	for text, want := range map[string]int{
		"CREATE TABLE a (id TEXT PRIMARY KEY, b TEXT NOT NULL);\nCREATE INDEX a_b ON a (b);\nINSERT INTO a VALUES ('x', 'y');": 0,
		"ALTER TABLE days ADD COLUMN a INT NOT NULL DEFAULT 0;":                                                                0,
		"-- +goose NO TRANSACTION\nCREATE INDEX CONCURRENTLY a_b ON a (b);\nUPDATE a SET b = 1 WHERE c = 2;":                   0,
		"CREATE INDEX a_b ON a (b);":                            1,
		"CREATE UNIQUE INDEX CONCURRENTLY a_b ON a (b);":        1,
		"UPDATE days SET a = 1;":                                1,
		"ALTER TABLE days ALTER COLUMN a TYPE BIGINT;":          1,
		"alter table days alter a set not null;":                1,
		"ALTER TABLE days DROP COLUMN a;":                       1,
		"ALTER TABLE days RENAME COLUMN a TO b;":                1,
		"ALTER TABLE days ADD COLUMN a TEXT REFERENCES b (id);": 1,
		"ALTER TABLE days ADD CONSTRAINT a CHECK (b > 0);":      1,
		"ALTER TABLE days ADD CONSTRAINT a CHECK (b > 0), DROP COLUMN c;\nUPDATE schema_support SET oldest = 9;": 1,
		"LOCK TABLE days;":                        1,
		"CREATE TABLE a (b INT);\nTRUNCATE days;": 1,
		"CREATE TRIGGER a BEFORE TRUNCATE ON days FOR EACH STATEMENT EXECUTE FUNCTION f();": 0,
	} {
		if got := holdsUp(text); len(got) != want {
			t.Errorf("%s: %q, want %d complaints", text, got, want)
		}
	}
}

func holdsUp(text string) (found []string) {
	free := strings.Contains(text, "-- +goose NO TRANSACTION")
	text = regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`\s+`).ReplaceAllString(text, " ")
	made := map[string]bool{"schema_support": true, "clock": true} // tables of one row
	for _, m := range regexp.MustCompile(`(?i)CREATE TABLE (\w+)`).FindAllStringSubmatch(text, -1) {
		made[m[1]] = true
	}
	ending := strings.Contains(text, "UPDATE schema_support SET oldest")
	for _, rule := range []struct {
		pattern, complaint string
		table              int // submatch that names a table which is no matter when the step made it
		ending             bool
	}{
		{`CREATE INDEX (IF NOT EXISTS )?\w+ ON (\w+)`, "an index on a table in use is made CONCURRENTLY, in a step without transaction", 2, false},
		{`CREATE UNIQUE INDEX (CONCURRENTLY )?(IF NOT EXISTS )?\w+ ON (\w+)`, "older programs do not know that values are unique", 3, true},
		{`\b(ALTER|DROP)( COLUMN)? \w+ (SET DATA )?TYPE\b`, "a column's type stays", 0, true},
		{`\bSET NOT NULL\b`, "older programs do not know that a value is needed", 0, true},
		{`\b(DROP (TABLE|VIEW|COLUMN|CONSTRAINT|FUNCTION|TRIGGER)|RENAME)\b`, "older programs use what is dropped or renamed", 0, true},
		{`ALTER TABLE (\w+)[^;]* (REFERENCES|UNIQUE|CHECK|PRIMARY KEY|EXCLUDE)\b`, "a new rule is checked on every row under a lock, and older programs do not know it", 1, false},
		{`(^|; ?)(LOCK TABLE|TRUNCATE|VACUUM FULL|CLUSTER) `, "nobody may use the table meanwhile", 0, false},
	} {
		for _, m := range regexp.MustCompile(`(?i)`+rule.pattern).FindAllStringSubmatch(text, -1) {
			if rule.table > 0 && made[m[rule.table]] || rule.ending && ending {
				continue
			}
			found = append(found, m[0]+": "+rule.complaint)
		}
	}
	for _, m := range regexp.MustCompile(`(?i)(UPDATE|DELETE FROM) (\w+)( SET| WHERE|;)`).FindAllStringSubmatch(text, -1) {
		if !free && !made[m[2]] {
			found = append(found, m[0]+": rows are changed in a step without transaction, some at a time")
		}
	}
	return found
}
