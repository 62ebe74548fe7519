package bulk_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// TestBadInput sends wrong values of each parameter: the answer is 400 and names the parameter.
func TestBadInput(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	long := strings.Repeat("x", 513)
	times := []string{"", "-1", "1.5", "1e9", "+1", "%201", "0x1", "x", "null", "253402300801", "9223372036854775808", strings.Repeat("9", 400), "%ff", "%00", "%zz", "1;2"}
	texts := []string{"", "%ff", "%00", long, "%zz"}
	wrong := map[string][]string{
		"start_time": times, "end_time": times, "bot_name": texts, "conversation_id": texts,
		"per_page": {"", "0", "-1", "1001", "1.0", "x", "+5", "99999999999999999999", "%ff", "%"},
		"cursor":   {"x", "%ff", "%00", strings.Repeat("A", 5000), "AAAA", "%zz"},
	}
	good := map[string]string{"start_time": "1", "end_time": "2", "bot_name": "r3-218210", "per_page": "10"}
	f.refused(conversationsPath+"?"+with(good, "conversation_id", "x"), "conversation_id")
	for _, path := range []string{conversationsPath, messagesPath} {
		for name, values := range wrong {
			if name == "conversation_id" && path == conversationsPath {
				continue
			}
			for _, value := range values {
				f.refused(path+"?"+with(good, name, value), name)
			}
			f.refused(path+"?"+with(good, name, "1")+"&"+name+"=1", name)
		}
		for _, name := range []string{"start_time", "end_time", "bot_name"} {
			f.refused(path+"?"+with(good, name, "\x00"), name)
		}
		for _, end := range []string{"1", "0"} {
			f.refused(path+"?"+with(good, "end_time", end), "end_time")
		}
		f.refused(path+"?"+with(good, "x", "%zz"), "x")
		if a := f.get(path + "?" + with(good, "bot_name", "nobody")); a.Status != http.StatusNotFound {
			t.Errorf("an unknown bot: %d", a.Status)
		}
		for _, name := range []string{"unknown", "perPage", "start-time"} {
			f.refused(path+"?"+with(good, name, "1"), name)
		}
		f.refused(path+"?"+with(good, "unknown", ""), "unknown")
		if a := f.get(path + "?" + with(good, "cursor", "")); a.Status != http.StatusOK {
			t.Errorf("an empty cursor: %d", a.Status)
		}
		for _, paged := range []string{"per_page=5", "cursor=x"} {
			r := request(http.MethodGet, path+"?"+allTime+"&"+paged, sampleKey)
			r.Header.Set("Accept", "application/x-ndjson")
			if a := f.spec.Do(t, f.handler, r); a.Status != http.StatusBadRequest {
				t.Errorf("a stream with %s: %d", paged, a.Status)
			}
		}
	}
}

// with gives the query of good with one parameter changed, or without it for the value "\x00".
func with(good map[string]string, name, value string) string {
	var parts []string
	for k, v := range good {
		if k != name {
			parts = append(parts, k+"="+v)
		}
	}
	if value != "\x00" {
		parts = append(parts, name+"="+value)
	}
	return strings.Join(parts, "&")
}

// refused wants 400 with the parameter's name.
func (f *fixture) refused(target, name string) {
	f.Helper()
	a := f.get(target)
	if a.Status != http.StatusBadRequest || !strings.Contains(string(a.Body), name) {
		f.Errorf("%.200s: %d %s", target, a.Status, a.Body)
	}
}

// TestCursors uses a genuine cursor with other parameters, and changed cursors.
func TestCursors(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`+"\n"+generate(0, 20, "m"))
	f.load(otherOwner, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`+"\n"+generate(0, 20, "m"))
	cursor := *f.page(conversationsPath + "?" + testRange + "&per_page=5").Cursor
	good := conversationsPath + "?" + testRange + "&per_page=7&cursor=" + cursor
	if p := f.page(good); len(p.Data) != 7 || p.Data[0].ID != "m-00005" { // a cursor is not bound to the page size
		t.Errorf("%+v", p)
	}
	for name, target := range map[string]string{
		"another endpoint": strings.Replace(good, conversationsPath, messagesPath, 1),
		"another start":    strings.Replace(good, "start_time=1700000000", "start_time=1700000001", 1),
		"another end":      strings.Replace(good, "end_time=1700000100", "end_time=1700000101", 1),
		"another bot":      strings.Replace(good, "bot_name=Bot", "bot_name=bot-1", 1),
		"cut":              good[:len(good)-1],
		"longer":           good + "A",
	} {
		t.Run(name, func(*testing.T) { f.refused(target, "cursor") })
	}
	ofMessages := messagesPath + "?" + testRange + "&per_page=5"
	f.refused(ofMessages+"&conversation_id=m-00001&cursor="+*f.page(ofMessages).Cursor, "cursor")
	for i := range cursor {
		for _, c := range []byte("A_9") {
			if changed := cursor[:i] + string(c) + cursor[i+1:]; changed != cursor {
				f.refused(strings.Replace(good, cursor, changed, 1), "cursor")
			}
		}
	}
	if a := f.spec.Do(t, f.handler, request(http.MethodGet, good, otherKey)); a.Status != http.StatusBadRequest {
		t.Errorf("another tenant's: %d %s", a.Status, a.Body)
	}
}

// FuzzCursor sends any text as a cursor: only the genuine one is accepted, and nothing is a 500.
func FuzzCursor(f *testing.F) {
	x := newFixture(f, apitest.SQLite(f))
	x.load(tenant, `{"kind":"agent","agentId":"bot-1","name":"Bot"}`+"\n"+generate(0, 3, "m"))
	genuine := *x.page(conversationsPath + "?" + testRange + "&per_page=1").Cursor
	f.Add("")
	f.Add("AAAA")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"t":1,"i":"x"}`)))
	f.Add(strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, text := range []string{cursor, genuine + cursor, cursor + genuine, genuine[:len(genuine)/2] + cursor} {
			want := http.StatusBadRequest
			if text == genuine || text == "" {
				want = http.StatusOK
			}
			a := apitest.Do(x.handler, request(http.MethodGet, fmt.Sprintf("%s?%s&per_page=1&cursor=%s", conversationsPath, testRange, url.QueryEscape(text)), sampleKey))
			if a.Status != want {
				t.Errorf("%q: %d %s", text, a.Status, a.Body)
			}
		}
	})
}
