package admin

import "testing"

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"no such day":            "No such day.",
		"it's over.":             "It's over.",
		"acme/2031-01-01/23 is":  "acme/2031-01-01/23 is.",
		"rec_1 is stored":        "rec_1 is stored.",
		`"acme" does not exist`:  `"acme" does not exist.`,
		"2025-12-12 is too late": "2025-12-12 is too late.",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
