package admin

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWrongBody refuses bodies, and names the field that is wrong.
func TestWrongBody(t *testing.T) {
	for body, want := range map[string]string{
		`{"day":1,"scope":"all"}`: `the body has the field "scope", which is not known here`,
		`{"day":"1"}`:             `"day" of the body is a JSON string, and must be of another type`,
		`{"day":1`:                "the body is not the JSON object that this takes",
		`[]`:                      "the body is not the JSON object that this takes",
		`{"day":1}{}`:             "something stands behind the body's JSON object",
	} {
		var into struct {
			Day int `json:"day"`
		}
		err := readJSON(httptest.NewRequest("POST", "/", strings.NewReader(body)), &into)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}
