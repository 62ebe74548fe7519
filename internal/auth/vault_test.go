package auth_test

import (
	"bytes"
	"testing"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
)

func TestVault(t *testing.T) {
	open := func(master string) *auth.Vault {
		v, err := auth.NewVault(master)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	none, one, two := open(""), open("one master key of some good length"), open("another master key of good length")
	secret := []byte("whsec_x")
	if data, encrypted := none.Seal("a", secret); encrypted || !bytes.Equal(data, secret) {
		t.Errorf("without a master key: %q, %t", data, encrypted)
	}
	data, encrypted := one.Seal("a", secret)
	if !encrypted || bytes.Contains(data, secret) {
		t.Errorf("stored as %q, %t", data, encrypted)
	}
	if got, err := one.Open("a", data, true); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("opened to %q, %v", got, err)
	}
	if got, err := one.Open("a", secret, false); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("what was stored before: %q, %v", got, err)
	}
	for name, err := range map[string]error{
		"no master key":      second(none.Open("a", data, true)),
		"another master key": second(two.Open("a", data, true)),
		"for another":        second(one.Open("b", data, true)),
	} {
		if domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ []byte, err error) error { return err }
