package main

import (
	"strings"
	"testing"
)

func TestHold(t *testing.T) {
	_, data := newCatalog(t)
	for want, args := range map[string][]string{
		"add --from and --to, ":    {"create", "--name", "a", "--reason", "r"},
		"the wrong way round":      {"create", "--name", "a", "--reason", "r", "--from", "2025-12-12", "--to", "2025-12-11"},
		"--to must be used":        {"create", "--name", "a", "--reason", "r", "--from", "2025-12-12"},
		"is not a day":             {"create", "--name", "a", "--reason", "r", "--from", "yesterday", "--to", "tomorrow"},
		"can't be used together":   {"create", "--name", "a", "--reason", "r", "--from", "yesterday", "--to", "today", "--all"},
		"name is empty":            {"create", "--name", "", "--reason", "r", "--all"},
		`has no active hold "x"`:   {"release", "x", "--reason", "r"},
		`"nobody" does not exist`:  {"create", "--name", "a", "--reason", "r", "--all", "--tenant", "nobody"},
		`"nobody2" does not exist`: {"list", "--tenant", "nobody2"},
	} {
		code, out, errs := callvault(t, nil, append([]string{"hold", args[0], data, "--tenant", "acme"}, args[1:]...)...)
		if code == exitOK || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d, printed %q and %q, want %q", args, code, out, errs, want)
		}
	}
	for _, reason := range []string{"", " "} {
		expect(t, nil, exitUsage, "--reason|the reason is missing", "hold", "create", data, "--tenant", "acme", "--name", "a", "--all", "--reason", reason)
	}
	expect(t, nil, exitUsage, "--reason", "hold", "create", data, "--tenant", "acme", "--name", "a", "--all")
	expect(t, nil, exitOK, "hold m 6 covers 20", "hold", "create", data, "--tenant", "acme", "--name", "m 6", "--reason", "r", "--from", "yesterday", "--to", "today")
	expect(t, nil, exitOK, "nothing is known yet of c,1", "hold", "create", data, "--tenant", "acme", "--name", "m 7", "--reason", "r", "--conversation", "c,1")
	code, _, errs := callvault(t, nil, "hold", "create", data, "--tenant", "acme", "--name", "m 7", "--reason", "r", "--all")
	if code != exitFailed || !strings.Contains(errs, "choose another name") {
		t.Errorf("a name that is taken: exit %d, printed %q", code, errs)
	}
	expect(t, nil, exitOK, `"conversationCount":1`, "hold", "list", data, "--tenant", "acme", "--json")
	expect(t, nil, exitOK, "m 7 is released", "hold", "release", data, "--tenant", "acme", "m 7", "--reason", "settled")
	expect(t, nil, exitOK, "1 conversation", "hold", "list", data, "--tenant", "acme")
}
