package conversations_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/internal/apitest"
)

// TestAudit checks that the log names each conversation that was given, and an hour's first request
// for a recording.
func TestAudit(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t))
	f.sample()
	for _, path := range []string{"/conv_raw", "/conv_raw/audio", "/conv_raw/audio", "/conv_raw", "/conv_messages", "/nobody", ""} {
		f.get(plainList + path)
	}
	f.spec.Do(t, f.handler, request(http.MethodHead, plainList+"/conv_raw", key))
	var got []string
	for _, line := range apitest.Audited(t, f.catalog, "acme", "conversation.read", "conversation.audio") {
		line, _, _ = strings.Cut(line, `,"remote"`)
		got = append(got, line)
	}
	want := []string{
		`key conversation.read {"conversation":"conv_raw"`,
		`key conversation.audio {"conversation":"conv_raw","object":"acme/calls/1.webm"`,
		`key conversation.read {"conversation":"conv_raw"`,
		`key conversation.read {"conversation":"conv_messages"`,
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}
