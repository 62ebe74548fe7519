package evidence_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/evidence"
)

// The expected values come from the Python of docs/audit.md: what auditors compute never changes.
func TestLeaf(t *testing.T) {
	links, err := hex.DecodeString(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	line := merkle.Line{Seq: 41, AtUS: 1765609201512345, Tenant: "acme", Actor: "app:x", Action: "day.links", Detail: `{"day":"2025-12-12","ü":1}`, Links: links}
	if salt := evidence.LineSalt([]byte("secret"), line); salt != "a93fa777286b7f5aeb27743cd057a2427da003b0355bbe3bec95a957cf4a6daa" {
		t.Errorf("the salt is %s", salt)
	}
	hash := evidence.LeafHash([]byte("secret"), merkle.Record{Line: &line})
	if text := hex.EncodeToString(hash[:]); text != "c90fc3234c56fe7c3643ffb8775b6d4abd8299c9be98f2da4ebc4c27a6e57576" {
		t.Errorf("the leaf is %s", text)
	}
	if seal := evidence.LeafHash(nil, merkle.Record{Data: "{}"}); seal != tlog.RecordHash([]byte("{}")) {
		t.Error("a seal's leaf is not of its JSON")
	}
}
