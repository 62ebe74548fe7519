package exports_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
)

func compact(t testing.TB, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%v in %.2000s", err, text)
	}
	return b.String()
}

// sample makes an export of the sample comparable with the golden file: it replaces the signed URL,
// and removes the function calls at the end, which the file lacks.
func sample(t testing.TB, body []byte) string {
	t.Helper()
	d := read(t, body)
	if d.Conversation.Transcript == nil || d.Conversation.Recording == nil {
		t.Fatalf("no transcript or no recording in %s", body)
	}
	if string(d.Conversation.FunctionCalls) != string(d.Conversation.Transcript.Parsed) {
		t.Fatalf("function calls %s and %s differ", d.Conversation.FunctionCalls, d.Conversation.Transcript.Parsed)
	}
	text := compact(t, body)
	for _, cut := range [][2]string{
		{`,"functionCalls":` + string(d.Conversation.FunctionCalls) + `},"summary"`, `},"summary"`},
		{string(bytes.Trim(encoded(t, d.Conversation.Recording.SignedURL), `"`)), "https://storage.googleapis.com/...?X-Goof-Algorithm=..."},
	} {
		if strings.Count(text, cut[0]) != 1 {
			t.Fatalf("%s does not stand once in %s", cut[0], text)
		}
		text = strings.Replace(text, cut[0], cut[1], 1)
	}
	return text
}

// encoded is a text as a JSON string, without escapes for HTML.
func encoded(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

func TestSample(t *testing.T) {
	onBoth(t, func(f *fixture) {
		want := compact(f, file(f, "sample.json"))
		for _, path := range paths() {
			a := f.ask(path, "application/json", `{"conversationId":"`+sampleID+`"}`, "x-api-key", f.key)
			if a.Status != http.StatusOK {
				f.Fatalf("answered %d: %s", a.Status, a.Body)
			}
			if got := sample(f, a.Body); got != want {
				f.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
			}
			for name, value := range map[string]string{
				"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
				"Content-Disposition": `attachment; filename="conversation-` + sampleID + `-2024-01-15.json"`,
			} {
				if got := a.Header.Get(name); got != value {
					f.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		}
	})
}

func TestSampleErrors(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	body := `{"conversationId":"` + sampleID + `"}`
	for name, a := range map[string]apitest.Answer{
		"401-none.json":         f.ask(formPath, "application/json", body),
		"401-key.json":          f.ask(formPath, "application/json", body, "x-api-key", "wrong"),
		"400-organization.json": f.ask(formPath, "application/json", body, "x-internal-token", internal),
		"404.json":              f.ask(formPath, "application/json", `{"conversationId":"unknown"}`, "x-api-key", f.key),
		"500.json":              f.broken().ask(formPath, "application/json", body, "x-api-key", f.key),
	} {
		if name[:3] != strconv.Itoa(a.Status) {
			t.Errorf("%s: answered %d", name, a.Status)
		}
		apitest.Golden(t, name, a.Body)
	}
}

// The requests as the documentation prints them, with another address and key.
func TestPrintedRequests(t *testing.T) {
	f := newFixture(t, apitest.Postgres(t), exports.Config{})
	want := compact(t, file(t, "sample.json"))
	server := httptest.NewServer(f.h)
	defer server.Close()
	const browser = `
globalThis.window = globalThis;
const send = globalThis.fetch;
globalThis.fetch = (url, options) => send(new URL(url, process.env.BASE), url.startsWith('/')
  ? {...options, headers: {...options.headers, 'x-api-key': process.env.KEY}} : options); // a page's own server adds the key
let saved;
URL.createObjectURL = (blob) => { saved = blob; return 'blob:'; };
globalThis.document = {body: {appendChild() {}, removeChild() {}}, createElement: () => ({click() {
  const name = this.download;
  saved.arrayBuffer().then((data) => require('fs').writeFileSync(name, Buffer.from(data)));
}})};
`
	for _, c := range []struct {
		name, program, before, after string
		saves                        string // a pattern; standard output when empty
	}{
		{"curl.sh", "bash", "", "", ""},
		{"curl-form.sh", "bash", "", "", "conversation-export.json"},
		{"curl-json.sh", "bash", "", "", "conversation-export.json"},
		{"fetch.js", "node", browser + "(async () => {\n", "\n})();", "*.json*"},
		{"next.ts", "node", browser, "\ndownloadConversation('" + sampleID + "');", "*.json*"},
		{"requests.py", "python3", "", "", "*.json*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.NewReplacer("https://vault.example.com", server.URL, "YOUR_API_KEY", f.key, "<token>", f.key,
				"(conversationId: string)", "(conversationId)").Replace(string(file(t, c.name)))
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "request"), []byte(c.before+text+c.after), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), c.program, "request")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "BASE="+server.URL, "KEY="+f.key)
			var diagnosis bytes.Buffer
			cmd.Stderr = &diagnosis
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v\n%s\n%s", c.program, err, got, diagnosis.Bytes())
			}
			if c.saves != "" {
				files, err := filepath.Glob(filepath.Join(dir, c.saves))
				if err != nil || len(files) != 1 {
					t.Fatalf("saved %v, error %v; %s", files, err, got)
				}
				if got, err = os.ReadFile(files[0]); err != nil {
					t.Fatal(err)
				}
			}
			if text := sample(t, got); text != want {
				t.Fatalf("got\n%s\nwant\n%s", text, want)
			}
		})
	}
}

// The result of a function call is in a later turn, as in the documentation's example.
func TestSampleFunctionCalls(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	raw := `[{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"check_order_status",` +
		`"arguments":"{\"order_id\":\"ORD-12345\"}"}}],"timestamp":"2024-01-15T10:31:00Z"},` +
		`{"role":"tool","tool_call_id":"call_1","content":"{\"status\":\"shipped\",\"tracking\":\"1Z999AA1\"}"}]`
	f.load("org_123", []byte(`{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","transcript":{"raw":`+string(quoted(raw))+`}}`))
	d := f.export("c", "")
	if got, want := `{"functionCalls":`+string(d.Conversation.FunctionCalls)+`}`, compact(t, file(t, "function-calls.json")); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}
