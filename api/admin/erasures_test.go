package admin_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore/dir"
)

// bucket opens a bucket in a directory of its own.
func (f *fixture) bucket(name string) *dir.Bucket {
	f.Helper()
	b, err := dir.Open(dir.Config{Path: f.TempDir() + "/" + name, Alone: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.Close() })
	return b
}

// An erasure is previewed, ordered as it was previewed, and listed.
func TestErasureAPI(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		f.eraser = lifecycle.NewEraser(f.catalog, f.bucket("recordings"), f.bucket("archives"), "callvault", time.Now, f.log())
		f.open(func() time.Time { return f.now() })
		_, err := f.catalog.AddSigningKeys(f.Context(), []catalog.SigningKey{{ID: "k", Purpose: "erasure", Algorithm: "HS256", Material: []byte("k")}}, time.Hour)
		if err != nil {
			f.Fatal(err)
		}
		_, err = f.catalog.Register(f.Context(), "acme", catalog.Batch{Conversations: []catalog.Line[domain.Conversation]{{Number: 1,
			Value: domain.Conversation{ID: "c/1", AgentID: "a", Start: f.day.Start(), CallerPhone: "+49 30 123", UserID: "u", User: json.RawMessage(`{"id":"u"}`)}}}})
		if err != nil {
			f.Fatal(err)
		}
		path := "/tenants/acme/erasures"
		for body, status := range map[string]int{
			`{}`:                                     400,
			`{"userId":"u","phone":"123"}`:           400,
			`{"conversations":["unknown"]}`:          404,
			`{"userId":"nobody"}`:                    404,
			`{"phone":"x"}`:                          400,
			`{"conversations":["c/1"],"reason":"r"}`: 400,
		} {
			f.call("POST", path+"/preview", body, status)
		}
		f.call("POST", "/tenants/nobody/erasures/preview", `{"userId":"u"}`, 404)
		shown := f.call("POST", path+"/preview", `{"phone":"0049-30-123"}`, 200)
		f.equal("found", shown["conversations"], []string{"c/1"})
		confirm := shown["confirm"].(string)
		f.call("POST", path, `{"conversations":["c/1"],"reason":"r","confirm":"x"}`, 400)
		f.call("POST", path, `{"conversations":["c/1"],"reason":" ","confirm":"`+confirm+`"}`, 400)
		f.call("POST", path, `{"conversations":["c/1","c/2"],"reason":"r","confirm":"`+confirm+`"}`, 400)
		made := f.call("POST", path, `{"conversations":["c/1"],"reason":"request 1","confirm":"`+confirm+`"}`, 202)
		id := made["id"].(string)
		f.equal("ordered", []any{made["state"], made["askedBy"], made["removed"].(map[string]any)["conversations"]}, []any{"proven", "admin", 1.})
		f.equal("read", f.call("GET", path+"/"+id, "", 200)["reason"], "request 1")
		f.call("GET", path+"/none", "", 404)
		f.call("GET", "/tenants/nobody/erasures", "", 404)
		listed := f.call("GET", path, "", 200)["erasures"].([]any)
		f.equal("listed", len(listed), 1)
		delete(made, "conversations")
		delete(made, "proof")
		f.equal("listed", listed[0], made)
	})
}
