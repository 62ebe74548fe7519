package auth

import "testing"

func TestInternalToken(t *testing.T) {
	for _, c := range []struct {
		configured, sent string
		want             bool
	}{
		{"secret", "secret", true},
		{"secret", "Secret", false},
		{"secret", "secret ", false},
		{"secret", "", false},
		{"", "", false},
		{"", "x", false},
	} {
		if got := NewInternalToken(c.configured).Matches(c.sent); got != c.want {
			t.Errorf("configured %q, sent %q: %v", c.configured, c.sent, got)
		}
	}
	if (InternalToken{}).Matches("") {
		t.Error("the zero token matched")
	}
}
