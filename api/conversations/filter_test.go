package conversations_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/auth"
)

// member is one conversation of a crowd.
type member struct {
	id, agent, user, outcome string
	start                    int64
}

const base = 1_700_000_000

// crowd has 240 conversations of 3 agents and 5 users, two of them at each second: the one with the
// smaller id is the later one.
func crowd() (members []member, lines string) {
	var text strings.Builder
	for i := range 240 {
		m := member{fmt.Sprintf("c-%03d", i), fmt.Sprintf("agent-%d", i%3), fmt.Sprintf("user-%d", i%5), []string{"success", "failure", "unknown", ""}[i%4], base + int64(i/2)}
		outcome := ""
		if m.outcome != "" {
			outcome = fmt.Sprintf(`,"callSuccessful":%q`, m.outcome)
		} else {
			m.outcome = "unknown"
		}
		fmt.Fprintf(&text, `{"kind":"conversation","conversationId":%q,"agentId":%q,"user":{"id":%q},"startTime":%q%s}`+"\n",
			m.id, m.agent, m.user, time.Unix(m.start, 9e8-int64(i%2)*8e8).UTC().Format(time.RFC3339Nano), outcome)
		members = append(members, m)
	}
	slices.Reverse(members) // newest first, and by id within a second
	return members, text.String()
}

// TestFilters walks with every combination of filters, by pages of several sizes, on both path sets.
func TestFilters(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, database(t))
			members, lines := crowd()
			b.load("acme", lines)
			filters := []struct {
				query string
				fits  func(member) bool
			}{
				{"agent_id=agent-1", func(m member) bool { return m.agent == "agent-1" }},
				{"user_id=user-2", func(m member) bool { return m.user == "user-2" }},
				{"call_successful=unknown", func(m member) bool { return m.outcome == "unknown" }},
				{"call_start_after_unix=1700000010", func(m member) bool { return m.start >= base+10 }},
				{"call_start_before_unix=1700000100", func(m member) bool { return m.start < base+100 }},
			}
			for set := range 1 << len(filters) {
				query, want := "cursor=", []string{}
				for i, f := range filters {
					if set&(1<<i) != 0 {
						query += "&" + f.query
					}
				}
				for _, m := range members {
					fits := true
					for i, f := range filters {
						fits = fits && (set&(1<<i) == 0 || f.fits(m))
					}
					if fits {
						want = append(want, m.id)
					}
				}
				root, size := plainList, []int{100, 7, 31}[set%3]
				if set%2 == 1 {
					root = convaiList
				}
				if got, _ := b.walk(fmt.Sprintf("%s?%s&page_size=%d", root, query, size)); !slices.Equal(got, want) {
					t.Errorf("%s by %d: got %d\n%q\nwant %d\n%q", query, size, len(got), got, len(want), want)
				}
			}
			for query, n := range map[string]int{
				"agent_id=nobody": 0, "user_id=nobody": 0, "call_successful=success&agent_id=nobody": 0,
				"call_start_after_unix=1700000100&call_start_before_unix=1700000100": 0, "call_start_before_unix=0": 0,
			} {
				if got, pages := b.walk(plainList + "?" + query); len(got) != n || pages != 1 {
					t.Errorf("%s: %q in %d pages", query, got, pages)
				}
			}
			if p := b.page(plainList); len(p.Conversations) != 30 {
				t.Errorf("a page has %d by default", len(p.Conversations))
			}
		})
	}
}

// TestFormerCursor goes on with a cursor of before the order of times as printed: by the microsecond.
func TestFormerCursor(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, database(t))
			_, lines := crowd()
			b.load("acme", lines)
			ring, err := auth.OpenKeyring(t.Context(), b.catalog, "", time.Now)
			if err != nil {
				t.Fatal(err)
			}
			about := fmt.Sprintf("%q", []string{"conversations", "acme", "", "", "", "", ""})
			cursor := ring.Seal(t.Context(), auth.PurposeCursor, about, []byte(`{"t":1700000003900000,"i":"c-006"}`))
			rest := func(cursor string, size int) (got []string) {
				for next := &cursor; next != nil; {
					p := b.page(fmt.Sprintf("%s?page_size=%d&cursor=%s", plainList, size, *next))
					for _, row := range p.Conversations {
						got = append(got, row.ID)
					}
					next = p.Cursor
				}
				return got
			}
			want := []string{"c-007", "c-004", "c-005", "c-002", "c-003", "c-000", "c-001"}
			if got := rest(cursor, 2); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			// The other way round, as a replica of before does: it shows some twice, and leaves none out.
			position, err := ring.Unseal(t.Context(), auth.PurposeCursor, about, *b.page(plainList + "?page_size=1").Cursor)
			if err != nil {
				t.Fatal(err)
			}
			cursor = ring.Seal(t.Context(), auth.PurposeCursor, about, bytes.Replace(position, []byte(`,"p":true`), nil, 1))
			if got := rest(cursor, 100); len(got) != 240 || got[0] != "c-238" || got[1] != "c-239" {
				t.Errorf("begun by times as printed: %q", got)
			}
		})
	}
}

// TestShortPages looks for filters that hardly ever meet: the walk is complete, and no page looks at
// more than its share.
func TestShortPages(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	var lines strings.Builder
	for i := range 12_000 {
		agent := "common"
		if i%6000 == 7 {
			agent = "rare"
		}
		fmt.Fprintf(&lines, `{"kind":"conversation","conversationId":"c-%05d","agentId":%q,"user":{"id":"anyone"},"startTime":%q}`+"\n",
			i, agent, time.Unix(base+int64(i), 0).UTC().Format(time.RFC3339))
	}
	b.load("acme", lines.String())
	got, pages := b.walk(plainList + "?user_id=anyone&agent_id=rare")
	if !slices.Equal(got, []string{"c-06007", "c-00007"}) || pages != 3 {
		t.Errorf("%q in %d pages", got, pages)
	}
}

func TestBadInput(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	b.sample()
	long := strings.Repeat("x", 513)
	times := []string{"", "-1", "1.5", "1e9", "+1", "x", "253402300801", "9223372036854775808", strings.Repeat("9", 400), "%ff", "%00", "%zz", "1;2"}
	for name, values := range map[string][]string{
		"agent_id": {"", "%ff", "%00", long, "%zz"}, "user_id": {"", "%ff", "%00", long, "%"},
		"call_successful": {"", "SUCCESS", "yes", "%ff", long}, "summary_mode": {"", "both", "%00"},
		"call_start_after_unix": times, "call_start_before_unix": times,
		"page_size": {"", "0", "-1", "101", "1.0", "x", "+5", "99999999999999999999", "%ff"},
		"cursor":    {"x", "%ff", "%00", strings.Repeat("A", 5000), "AAAA", "%zz"},
	} {
		for _, value := range values {
			b.refused("?"+name+"="+value, name)
		}
		b.refused("?"+name+"=1&"+name+"=1", name)
	}
	b.refused("?x=%zz", "x")
	b.refused("/"+long, "conversation_id")
	b.refused("/%00", "conversation_id")
	b.refused("/%ff/audio", "conversation_id")
	for _, path := range []string{"", "/conv_raw", "/conv_raw/audio"} {
		for _, query := range []string{"?call_duration_min_secs=5", "?search=", "?pageSize=5"} {
			name, _, _ := strings.Cut(query[1:], "=")
			if a := b.get(plainList + path + query); a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), name) {
				t.Errorf("%s%s: %d %s", path, query, a.Status, a.Body)
			}
			if a := b.get(convaiList + path + query); a.Status != http.StatusOK {
				t.Errorf("convai, %s%s: %d %s", path, query, a.Status, a.Body)
			}
		}
	}
}

// refused asks for what must be refused on both path sets, each in its own shape, by name.
func (b *bench) refused(path, name string) {
	b.Helper()
	a := b.get(plainList + path)
	if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), name) || !strings.HasPrefix(string(a.Body), `{"detail":{"status":"invalid_parameter"`) {
		b.Errorf("%.200s: %d %s", path, a.Status, a.Body)
	}
	a = b.get(convaiList + path)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(string(a.Body), fmt.Sprintf(`,%q],"msg":"`, name)) {
		b.Errorf("%.200s: %d %s", path, a.Status, a.Body)
	}
}

func TestCursors(t *testing.T) {
	b := newBench(t, apitest.SQLite(t))
	_, lines := crowd()
	b.load("acme", lines)
	b.load("other", lines)
	cursor := *b.page(plainList + "?agent_id=agent-1&page_size=5").Cursor
	good := "?agent_id=agent-1&page_size=7&cursor=" + cursor
	for _, root := range []string{plainList, convaiList} { // one list under two names
		if p := b.page(root + good); len(p.Conversations) != 7 {
			t.Errorf("%s: %+v", root, p)
		}
	}
	for _, path := range []string{
		good + "&user_id=user-1", good + "&call_successful=success", good + "&call_start_after_unix=0", good + "&call_start_before_unix=1800000000",
		"?cursor=" + cursor, strings.Replace(good, "agent-1", "agent-2", 1), good[:len(good)-1], good + "A",
	} {
		b.refused(path, "cursor")
	}
	for i := range cursor {
		for _, c := range []byte("A_9") {
			if changed := cursor[:i] + string(c) + cursor[i+1:]; changed != cursor {
				b.refused(strings.Replace(good, cursor, changed, 1), "cursor")
			}
		}
	}
	if a := b.spec.Do(t, b.handler, request(http.MethodGet, plainList+good, otherKey)); a.Status != http.StatusBadRequest {
		t.Errorf("another tenant's: %d %s", a.Status, a.Body)
	}
}

// FuzzCursor sends any cursor: none but the genuine one is taken, and nothing is a 500.
func FuzzCursor(f *testing.F) {
	b := newBench(f, apitest.SQLite(f))
	_, lines := crowd()
	b.load("acme", lines)
	genuine := *b.page(plainList + "?page_size=1").Cursor
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, text := range []string{cursor, genuine + cursor, cursor + genuine, genuine[:len(genuine)/2] + cursor} {
			want := http.StatusUnprocessableEntity
			if text == genuine || text == "" {
				want = http.StatusOK
			}
			if a := apitest.Do(b.handler, request(http.MethodGet, convaiList+"?cursor="+url.QueryEscape(text), key)); a.Status != want {
				t.Errorf("%q: %d %s", text, a.Status, a.Body)
			}
		}
	})
}
