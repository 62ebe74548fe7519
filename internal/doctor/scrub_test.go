package doctor

import (
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/config"
)

// TestScrub checks that nothing of the secrets is left in a text.
func TestScrub(t *testing.T) {
	serving := func(internal, admin config.Secret) config.Config {
		return config.Config{Serving: config.Serving{InternalToken: internal, AdminToken: admin}}
	}
	parts := func(database, redis config.Secret) config.Config {
		return config.Config{Parts: config.Parts{DatabaseURL: database, RedisURL: redis}}
	}
	for name, c := range map[string]struct {
		config config.Config
		text   string
		left   []string
	}{
		"tokens":           {serving("one-token", "an/other+1"), "one-token an/other+1 an%2Fother%2B1", []string{"token", "other"}},
		"one begins alike": {serving("token", "token-of-the-admin"), "token token-of-the-admin", []string{"token", "admin"}},
		"URLs":             {parts("postgres://u:pass%40word@h/db", "redis://:red%20is@h:1"), "pass@word pass%40word red is red+is red%20is", []string{"word", "is"}},
		"of a socket":      {parts("postgres:///db?host=/run&user=u&password=hidden%2F", ""), "hidden/ hidden%2F", []string{"hidden"}},
	} {
		d := &Doctor{s: Subject{Config: c.config}}
		clean := d.scrub()(c.text)
		for _, text := range c.left {
			if strings.Contains(clean, text) {
				t.Errorf("%s: %q is left in %q", name, text, clean)
			}
		}
	}
	// A gap in the doctor's own words would give the password away.
	d := &Doctor{s: Subject{Config: parts("postgres://u:callvault@h/db", "redis://:password@h:1")}}
	if own := "correct the password, and run: callvault migrate up"; d.scrub()(own) != own {
		t.Errorf("its own words are %q", d.scrub()(own))
	}
}
