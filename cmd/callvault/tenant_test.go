package main

import (
	"strings"
	"testing"
)

func TestTenantCreateRefusesNoRetention(t *testing.T) {
	data := "--data=" + t.TempDir()
	if code, _, errs := callvault(t, nil, "migrate", "up", data); code != exitOK {
		t.Fatal(errs)
	}
	code, out, errs := callvault(t, nil, "tenant", "create", "acme", "--retention-days=0", data)
	if code != exitFailed || out != "" || !strings.Contains(errs, "retention days must be 1 to 3650") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
	code, out, errs = callvault(t, nil, "tenant", "create", "acme", "--json", data)
	if code != exitOK || !strings.Contains(out, `"retentionDays": 3`) {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}
