package conversations

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// TestBinding wants another binding wherever any field of a query is another one, also one that
// nobody thought of when it was added.
func TestBinding(t *testing.T) {
	seen := map[string]string{}
	check := func(name, binding string) {
		if other, twice := seen[binding]; twice {
			t.Errorf("%s and %s have one binding: %s", name, other, binding)
		}
		seen[binding] = name
	}
	changed := func(v reflect.Value) {
		switch field := v.Addr().Interface().(type) {
		case *string:
			*field = "x"
		case *time.Time:
			*field = time.Unix(1, 0)
		case *Filters:
			*field = Filters{User: "x"}
		default:
			t.Fatalf("what is another %T?", field)
		}
	}
	check("no list", ListQuery{}.Binding())
	for i := range reflect.TypeFor[ListQuery]().NumField() {
		var q ListQuery
		changed(reflect.ValueOf(&q).Elem().Field(i))
		check("list "+reflect.TypeFor[ListQuery]().Field(i).Name, q.Binding())
	}
	for name, f := range map[string]Filters{"agent": {Agent: "x"}, "both": {Agent: "x", User: "x"}, "quotes": {Agent: `x" "user":"x`}, "empty": {Agent: ""}} {
		check(name, ListQuery{Filters: f}.Binding())
	}
	seen = map[string]string{}
	check("no export", BulkQuery{}.Binding())
	for i := range reflect.TypeFor[BulkQuery]().NumField() {
		var q BulkQuery
		changed(reflect.ValueOf(&q).Elem().Field(i))
		check("export "+reflect.TypeFor[BulkQuery]().Field(i).Name, q.Binding())
	}
	at := time.Unix(1_700_000_000, 0)
	if (ListQuery{From: at}).Binding() != (ListQuery{From: at.In(time.FixedZone("", 3600))}).Binding() {
		t.Error("a replica in another zone has another binding")
	}
}

// TestUnknownFilter wants no rows where a filter has no column.
func TestUnknownFilter(t *testing.T) {
	r := New(open(t, databases(t)["sqlite"]).DB())
	if _, err := r.List(t.Context(), ListQuery{Filters: Filters{Conversation: "c"}}, nil, 1, nil); domain.KindOf(err) != domain.KindInternal {
		t.Errorf("a list by conversation: %v", err)
	}
	w := AgentQuery{BulkQuery{Filters: Filters{User: "u"}}, []string{"a"}}
	if _, err := r.ExportConversations(t.Context(), w, nil, Limit{1, 1}); domain.KindOf(err) != domain.KindInternal {
		t.Errorf("an export by user: %v", err)
	}
	if _, err := r.ExportMessages(t.Context(), w, nil, Limit{1, 1}); domain.KindOf(err) != domain.KindInternal {
		t.Errorf("messages by user: %v", err)
	}
}

// TestBots reads all bots of a name, and expects a refusal where there are none or too many.
func TestBots(t *testing.T) {
	d := open(t, databases(t)["sqlite"]).DB()
	if _, err := d.ExecContext(t.Context(), `INSERT INTO tenants (id, name, recordings, export, retention_days, day_limit, download_limit, created_us)
		VALUES ('acme', '', TRUE, TRUE, 3, 5, 5, 0)`); err != nil {
		t.Fatal(err)
	}
	wants := map[int]domain.Kind{0: domain.KindNotFound, maxBots: "", maxBots + 1: domain.KindInvalid}
	for n := range maxBots + 2 {
		if want, asked := wants[n]; asked {
			ids, err := New(d).Bots(t.Context(), "acme", "Bot")
			if domain.KindOf(err) != want || want == "" && len(ids) != n {
				t.Errorf("%d bots: %d, error %v", n, len(ids), err)
			}
		}
		if _, err := d.ExecContext(t.Context(), `INSERT INTO agents (tenant, id, name, body, updated_us) VALUES ('acme', $1, 'Bot', '{}', 0)`, fmt.Sprint("a", n)); err != nil {
			t.Fatal(err)
		}
	}
}
