package db

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

// TestPooler tells a pooler that hands sessions around from one that keeps them.
func TestPooler(t *testing.T) {
	url := testenv.Postgres(t)
	for mode, want := range map[string]bool{"": true, "session": true, "transaction": false, "statement": false} {
		at := url
		if mode != "" {
			at = testenv.PgBouncer(t, url, mode)
		}
		if keeps, err := open(t, at, 4).KeepsSessions(t.Context()); err != nil || keeps != want {
			t.Errorf("%q: %t, %v", mode, keeps, err)
		}
	}
}

// TestPoolerRefuses says what is wrong when a pooler gives this program's statements another
// session.
func TestPoolerRefuses(t *testing.T) {
	at := testenv.PgBouncer(t, testenv.Postgres(t), "transaction")
	var err error
	for n := 0; n < 3 && err == nil; n++ { // each prepares the same statement, in the one session there is
		_, err = open(t, at, 4).Migrate(t.Context())
	}
	if domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "pool_mode = session") {
		t.Errorf("it says %v", err)
	}
}
