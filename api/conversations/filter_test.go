package conversations_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/api/internal/apitest"
)

// madeCall is what a test knows of a generated conversation.
type madeCall struct {
	id, agent, user, outcome string
	start                    int64
}

const base = 1_700_000_000

// generate makes 240 conversations of 3 agents and 5 users, two in each second. The one with the
// smaller id is the later one. They come newest first.
func generate() (made []madeCall, lines string) {
	var text strings.Builder
	for i := range 240 {
		m := madeCall{fmt.Sprintf("c-%03d", i), fmt.Sprintf("agent-%d", i%3), fmt.Sprintf("user-%d", i%5), []string{"success", "failure", "unknown", ""}[i%4], base + int64(i/2)}
		outcome := ""
		if m.outcome != "" {
			outcome = fmt.Sprintf(`,"callSuccessful":%q`, m.outcome)
		} else {
			m.outcome = "unknown"
		}
		fmt.Fprintf(&text, `{"kind":"conversation","conversationId":%q,"agentId":%q,"user":{"id":%q},"startTime":%q%s}`+"\n",
			m.id, m.agent, m.user, time.Unix(m.start, 9e8-int64(i%2)*8e8).UTC().Format(time.RFC3339Nano), outcome)
		made = append(made, m)
	}
	slices.Reverse(made)
	return made, text.String()
}

// TestFilters reads all pages with every combination of filters, on both path sets.
func TestFilters(t *testing.T) {
	for name, database := range apitest.Databases() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, database(t))
			made, lines := generate()
			f.load("acme", lines)
			filters := []struct {
				query string
				fits  func(madeCall) bool
			}{
				{"agent_id=agent-1", func(m madeCall) bool { return m.agent == "agent-1" }},
				{"user_id=user-2", func(m madeCall) bool { return m.user == "user-2" }},
				{"call_successful=unknown", func(m madeCall) bool { return m.outcome == "unknown" }},
				{"call_start_after_unix=1700000010", func(m madeCall) bool { return m.start >= base+10 }},
				{"call_start_before_unix=1700000100", func(m madeCall) bool { return m.start < base+100 }},
			}
			for set := range 1 << len(filters) {
				query, want := "cursor=", []string{}
				for i, filter := range filters {
					if set&(1<<i) != 0 {
						query += "&" + filter.query
					}
				}
				for _, m := range made {
					fits := true
					for i, filter := range filters {
						fits = fits && (set&(1<<i) == 0 || filter.fits(m))
					}
					if fits {
						want = append(want, m.id)
					}
				}
				root, size := plainList, []int{100, 7, 31}[set%3]
				if set%2 == 1 {
					root = convaiList
				}
				if got, _ := f.walk(fmt.Sprintf("%s?%s&page_size=%d", root, query, size)); !slices.Equal(got, want) {
					t.Errorf("%s by %d: got %d\n%q\nwant %d\n%q", query, size, len(got), got, len(want), want)
				}
			}
			for query, n := range map[string]int{
				"agent_id=nobody": 0, "user_id=nobody": 0, "call_successful=success&agent_id=nobody": 0,
				"call_start_after_unix=1700000100&call_start_before_unix=1700000100": 0, "call_start_before_unix=0": 0,
			} {
				if got, pages := f.walk(plainList + "?" + query); len(got) != n || pages != 1 {
					t.Errorf("%s: %q in %d pages", query, got, pages)
				}
			}
			if p := f.page(plainList); len(p.Conversations) != 30 {
				t.Errorf("a page has %d by default", len(p.Conversations))
			}
		})
	}
}

// Filters that match few conversations: all are found, and no page examines more rows than a page
// may.
func TestShortPages(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	var lines strings.Builder
	for i := range 12_000 {
		agent := "common"
		if i%6000 == 7 {
			agent = "rare"
		}
		fmt.Fprintf(&lines, `{"kind":"conversation","conversationId":"c-%05d","agentId":%q,"user":{"id":"anyone"},"startTime":%q}`+"\n",
			i, agent, time.Unix(base+int64(i), 0).UTC().Format(time.RFC3339))
	}
	f.load("acme", lines.String())
	got, pages := f.walk(plainList + "?user_id=anyone&agent_id=rare")
	if !slices.Equal(got, []string{"c-06007", "c-00007"}) || pages != 3 {
		t.Errorf("%q in %d pages", got, pages)
	}
}

func TestBadInput(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
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
			f.refused("?"+name+"="+value, name)
		}
		f.refused("?"+name+"=1&"+name+"=1", name)
	}
	f.refused("?x=%zz", "x")
	f.refused("/"+long, "conversation_id")
	f.refused("/%00", "conversation_id")
	f.refused("/%ff/audio", "conversation_id")
	for _, path := range []string{"", "/conv_raw", "/conv_raw/audio"} {
		for _, query := range []string{"?call_duration_min_secs=5", "?search=", "?pageSize=5"} {
			name, _, _ := strings.Cut(query[1:], "=")
			if a := f.get(plainList + path + query); a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), name) {
				t.Errorf("%s%s: %d %s", path, query, a.Status, a.Body)
			}
			if a := f.get(convaiList + path + query); a.Status != http.StatusOK {
				t.Errorf("convai, %s%s: %d %s", path, query, a.Status, a.Body)
			}
		}
	}
}

// refused wants an error on both path sets, each in its own shape, that names the parameter.
func (f *fixture) refused(path, name string) {
	f.Helper()
	a := f.get(plainList + path)
	if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), name) || !strings.HasPrefix(string(a.Body), `{"detail":{"status":"invalid_parameter"`) {
		f.Errorf("%.200s: %d %s", path, a.Status, a.Body)
	}
	a = f.get(convaiList + path)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(string(a.Body), fmt.Sprintf(`,%q],"msg":"`, name)) {
		f.Errorf("%.200s: %d %s", path, a.Status, a.Body)
	}
}

func TestCursors(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	_, lines := generate()
	f.load("acme", lines)
	f.load("other", lines)
	cursor := *f.page(plainList + "?agent_id=agent-1&page_size=5").Cursor
	good := "?agent_id=agent-1&page_size=7&cursor=" + cursor
	for _, root := range []string{plainList, convaiList} { // both paths give the same list
		if p := f.page(root + good); len(p.Conversations) != 7 {
			t.Errorf("%s: %+v", root, p)
		}
	}
	for _, path := range []string{
		good + "&user_id=user-1", good + "&call_successful=success", good + "&call_start_after_unix=0", good + "&call_start_before_unix=1800000000",
		"?cursor=" + cursor, strings.Replace(good, "agent-1", "agent-2", 1), good[:len(good)-1], good + "A",
	} {
		f.refused(path, "cursor")
	}
	for i := range cursor {
		for _, c := range []byte("A_9") {
			if changed := cursor[:i] + string(c) + cursor[i+1:]; changed != cursor {
				f.refused(strings.Replace(good, cursor, changed, 1), "cursor")
			}
		}
	}
	if a := f.spec.Do(t, f.handler, request(http.MethodGet, plainList+good, otherKey)); a.Status != http.StatusBadRequest {
		t.Errorf("another tenant's: %d %s", a.Status, a.Body)
	}
}

// FuzzCursor sends any text as a cursor: only the genuine one is accepted, and nothing is a 500.
func FuzzCursor(f *testing.F) {
	x := newFixture(f, apitest.SQLite(f))
	_, lines := generate()
	x.load("acme", lines)
	genuine := *x.page(plainList + "?page_size=1").Cursor
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, text := range []string{cursor, genuine + cursor, cursor + genuine, genuine[:len(genuine)/2] + cursor} {
			want := http.StatusUnprocessableEntity
			if text == genuine || text == "" {
				want = http.StatusOK
			}
			if a := apitest.Do(x.handler, request(http.MethodGet, convaiList+"?cursor="+url.QueryEscape(text), key)); a.Status != want {
				t.Errorf("%q: %d %s", text, a.Status, a.Body)
			}
		}
	})
}
