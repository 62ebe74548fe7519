package exports_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/domain"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// parts makes a multipart body from names and values in turn.
func parts(t testing.TB, fields ...string) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := m.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType(), b.String()
}

func form(fields ...string) string {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return v.Encode()
}

// Every kind of body on every path, with every spelling of true and false.
func TestBodies(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	included := func(kind, body string) string {
		t.Helper()
		got := ""
		for _, path := range paths() {
			a := f.ask(path, kind, body, "x-api-key", f.key)
			if a.Status != http.StatusOK {
				t.Fatalf("%s %s answered %d %s", path, body, a.Status, a.Body)
			}
			d := read(t, a.Body)
			this := string(d.ExportMetadata.IncludedData)
			if got != "" && this != got {
				t.Fatalf("%s: %s, elsewhere %s", path, this, got)
			}
			got = this
			c := d.Conversation
			what := fmt.Sprintf(`{"transcript":%t,"analysis":%t,"recording":%t}`, c.Transcript != nil, c.PostCallAnalysis != nil, c.Recording != nil)
			if what != got || d.Summary["hasTranscript"] != (c.Transcript != nil) || d.Summary["hasAnalysis"] != (c.PostCallAnalysis != nil) ||
				d.Summary["hasRecording"] != (c.Recording != nil) || d.Summary["hasFunctionCalls"] != (c.Transcript != nil) || d.Summary["recordingAvailable"] != true {
				t.Fatalf("included %s, exported %s, summary %v", got, what, d.Summary)
			}
		}
		return got
	}
	all := `{"transcript":true,"analysis":true,"recording":true}`
	id := []string{"conversationId", sampleID}
	kind, body := parts(t, id...)
	for _, c := range [][3]string{
		{jsonType, good, all}, {"", good, all}, {"application/json; charset=utf-8", " \n" + good + "\r\n", all}, {"APPLICATION/JSON", good, all},
		{formType, form(id...), all}, {formType + ";charset=UTF-8", form(id...), all}, {kind, body, all},
		{jsonType, `{"x":{"conversationId":1},"conversationid":2,"conversationId":"` + sampleID + `","includeTranscript":false,"includeRecording":true}`,
			`{"transcript":false,"analysis":true,"recording":true}`},
		{jsonType, `{"\u0063onversationId":"agent\u005fabc123_1705320000_user123","includeAnalysis":false}`, `{"transcript":true,"analysis":false,"recording":true}`},
		{formType, form(append(id, "other", "1", "other", "2", "includeRecording", "no")...), `{"transcript":true,"analysis":true,"recording":false}`},
	} {
		if got := included(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	for word, yes := range map[string]bool{"true": true, "TRUE": true, "1": true, "on": true, "On": true, "yes": true,
		"false": false, "False": false, "0": false, "off": false, "no": false, "NO": false} {
		want := fmt.Sprintf(`{"transcript":true,"analysis":%t,"recording":true}`, yes)
		kind, body := parts(t, append(id, "includeAnalysis", word)...)
		for _, got := range []string{included(kind, body), included(formType, form(append(id, "includeAnalysis", word)...))} {
			if got != want {
				t.Errorf("%s: %s", word, got)
			}
		}
	}
}

func TestBadInput(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	const notJSON, notForm, notParts = "the body is not valid JSON", "the body is not valid application/x-www-form-urlencoded", "the body is not valid multipart/form-data"
	const otherType = "Content-Type must be application/json, application/x-www-form-urlencoded or multipart/form-data"
	long := strings.Repeat("é", 257)
	multi := func(fields ...string) [2]string {
		kind, body := parts(t, fields...)
		return [2]string{kind, body}
	}
	file := func(name string) [2]string {
		return [2]string{"multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"f\"\r\n\r\nx\r\n--B--\r\n"}
	}
	type input struct {
		sent   [2]string
		detail string
	}
	cases := map[string]input{
		"nothing":                {[2]string{jsonType, ""}, notJSON},
		"no type, nothing":       {[2]string{"", ""}, notJSON},
		"cut":                    {[2]string{jsonType, good[:20]}, notJSON},
		"two objects":            {[2]string{jsonType, good + good}, notJSON},
		"an array":               {[2]string{jsonType, "[" + good + "]"}, "the body must be a JSON object"},
		"null":                   {[2]string{jsonType, "null"}, "the body must be a JSON object"},
		"a byte order mark":      {[2]string{jsonType, "\ufeff" + good}, notJSON},
		"not UTF-8":              {[2]string{jsonType, `{"conversationId":"` + "\xff" + `"}`}, notJSON},
		"UTF-16":                 {[2]string{jsonType, "{\x00}\x00"}, notJSON},
		"deep":                   {[2]string{jsonType, `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`}, notJSON},
		"a form called JSON":     {[2]string{jsonType, form("conversationId", sampleID)}, notJSON},
		"JSON called a form":     {[2]string{formType, good}, "conversationId is required"},
		"JSON called multipart":  {[2]string{"multipart/form-data; boundary=B", good}, notParts},
		"multipart called JSON":  {[2]string{jsonType, multi("conversationId", sampleID)[1]}, notJSON},
		"multipart, no boundary": {[2]string{"multipart/form-data", multi("conversationId", sampleID)[1]}, notParts},
		"another boundary":       {[2]string{"multipart/form-data; boundary=other", multi("conversationId", sampleID)[1]}, notParts},
		"multipart, cut":         {[2]string{"multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"conversationId\"\r\n\r\n" + sampleID}, notParts},
		"multipart, empty":       {[2]string{"multipart/form-data; boundary=B", "--B--\r\n"}, "conversationId is required"},
		"another type":           {[2]string{"text/plain", good}, otherType},
		"XML":                    {[2]string{"application/xml", "<a/>"}, otherType},
		"a type that is none":    {[2]string{"application/json; =", good}, "Content-Type can't be read"},
		"bad escape":             {[2]string{formType, "conversationId=%zz"}, notForm},
		"a file as the id":       {file("conversationId"), "conversationId must be a text, not a file"},
		"a file as a boolean":    {file("includeAnalysis"), "includeAnalysis must be a text, not a file"},
		"another file":           {file("x"), "conversationId is required"},
		"an id with NUL":         {[2]string{jsonType, `{"conversationId":"a\u0000b"}`}, "conversationId is not valid text"},
		"a form's id with NUL":   {[2]string{formType, "conversationId=a%00"}, "conversationId is not valid text"},
		"a form not UTF-8":       {[2]string{formType, "conversationId=%ff%fe"}, "conversationId is not valid text"},
		"a part not UTF-8":       {multi("conversationId", "\xff"), "conversationId is not valid text"},
	}
	for name, body := range map[string]string{"number": "1", "true": "true", "null": "null", "object": `{}`, "array": `["a"]`} {
		cases["an id that is: "+name] = input{[2]string{jsonType, `{"conversationId":` + body + `}`}, "conversationId must be a string"}
	}
	cases["no id"] = input{[2]string{jsonType, `{}`}, "conversationId is required"}
	cases["an id in other letters"] = input{[2]string{jsonType, `{"ConversationId":"x"}`}, "conversationId is required"}
	for name, to := range map[string]func(fields ...string) [2]string{
		"form": func(fields ...string) [2]string { return [2]string{formType, form(fields...)} },
		"part": multi,
		"JSON": func(fields ...string) [2]string {
			var list []string
			for i := 0; i < len(fields); i += 2 {
				list = append(list, string(quoted(fields[i]))+":"+string(quoted(fields[i+1])))
			}
			return [2]string{jsonType, "{" + strings.Join(list, ",") + "}"}
		},
	} {
		cases[name+" without"] = input{to("x", "y"), "conversationId is required"}
		cases[name+" empty"] = input{to("conversationId", ""), "conversationId must not be empty"}
		cases[name+" twice"] = input{to("conversationId", "a", "conversationId", "a"), "conversationId must be given once"}
		cases[name+" huge"] = input{to("conversationId", long), "conversationId is longer than 512 bytes"}
		for _, field := range []string{"includeTranscript", "includeAnalysis", "includeRecording"} {
			reason := " must be true or false"
			if name == "JSON" {
				reason = " must be a boolean"
			}
			for _, word := range []string{"", "maybe", "2", "tru", "true ", long} {
				cases[name+" "+field+" "+word] = input{to("conversationId", sampleID, field, word), field + reason}
			}
			cases[name+" "+field+" twice"] = input{to("conversationId", sampleID, field, "true", field, "true"), field + " must be given once"}
		}
	}
	for _, word := range []string{"1", "null", `"true"`, "{}", "[]"} {
		cases["boolean "+word] = input{[2]string{jsonType, `{"conversationId":"x","includeRecording":` + word + `}`}, "includeRecording must be a boolean"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			one := *f
			one.T = t
			for _, path := range paths() {
				one.want(one.ask(path, c.sent[0], c.sent[1], "x-api-key", f.key), 400, c.detail)
			}
		})
	}
	f.want(f.ask(jsonPath, jsonType, good, "x-api-key", f.key, "Content-Type", jsonType), 400, "Content-Type must be given once")
}

func TestLargeBody(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	pad := `","x":"` + strings.Repeat("x", 1<<20) + `"}`
	large := `{"conversationId":"` + sampleID + pad
	kind, body := parts(t, "conversationId", sampleID, "x", pad)
	for _, sent := range [][2]string{{jsonType, large}, {formType, form("conversationId", sampleID, "x", pad)}, {kind, body}} {
		f.want(f.ask(formPath, sent[0], sent[1], "x-api-key", f.key), 413, "The request body is too large")
		f.want(f.ask(formPath, sent[0], sent[1]), 401, noCredential)
		// Its length is not announced.
		r := httptest.NewRequest(http.MethodPost, formPath, struct{ *strings.Reader }{strings.NewReader(sent[1])})
		r.Header.Set("Content-Type", sent[0])
		r.Header.Set("x-api-key", f.key)
		f.want(f.spec.Do(t, f.h, r), 413, "The request body is too large")
	}
	small := `{"conversationId":"` + sampleID + `","x":"` + strings.Repeat("x", 1<<20-100) + `"}`
	if a := f.ask(formPath, jsonType, small, "x-api-key", f.key); a.Status != 200 {
		t.Fatalf("answered %d", a.Status)
	}
}

// FuzzBody sends any body: the answer is the conversation, or an error of this family.
func FuzzBody(f *testing.F) {
	kind, body := parts(f, "conversationId", sampleID, "includeAnalysis", "no")
	for _, sent := range [][2]string{{jsonType, good}, {formType, form("conversationId", "x", "includeTranscript", "1")}, {kind, body}, {"text/plain", "x"}, {jsonType, `{"conversationId":[`}} {
		f.Add(sent[0], []byte(sent[1]))
	}
	h := exports.New(exports.Config{}, exports.Deps{Internal: internalToken(), Catalog: emptyCatalog{}, Conversations: emptyCatalog{}, Log: zap.NewNop()}).Handler
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, jsonPath, bytes.NewReader(body))
		r.Header["Content-Type"] = []string{kind}
		r.Header.Set("x-internal-token", internal)
		r.Header.Set("x-organization-id", "org_123")
		a := apitest.Do(h, r)
		var failed struct{ Detail string }
		if err := json.Unmarshal(a.Body, &failed); err != nil || a.Status != 400 && a.Status != 404 || failed.Detail == "" || !utf8.Valid(a.Body) {
			t.Fatalf("answered %d %q", a.Status, a.Body)
		}
	})
}

// emptyCatalog is a catalog without conversations.
type emptyCatalog struct{ exports.Catalog }

func (emptyCatalog) Tenant(_ context.Context, id string) (domain.Tenant, error) {
	return domain.Tenant{ID: id}, nil
}

func (e emptyCatalog) Memory(ctx context.Context, tenant, id string) (int64, error) {
	_, err := e.Export(ctx, tenant, id, false)
	return 0, err
}

func (emptyCatalog) Export(_ context.Context, _, id string, _ bool) (conversations.Export, error) {
	if id == "" || len(id) > domain.MaxIDBytes || !utf8.ValidString(id) || strings.Contains(id, "\x00") {
		return conversations.Export{}, domain.Errorf(domain.KindInternal, "an id that no catalog takes")
	}
	return conversations.Export{}, domain.Errorf(domain.KindNotFound, "unknown")
}
