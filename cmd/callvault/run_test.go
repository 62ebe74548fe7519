package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// callvault runs the program as a shell would.
func callvault(t *testing.T, env config.Env, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs, env)
	return code, out.String(), errs.String()
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if code, out, errs := callvault(t, nil, arg); code != exitOK || !strings.HasPrefix(out, "callvault ") || errs != "" {
			t.Errorf("%s: exit %d, printed %q and %q", arg, code, out, errs)
		}
	}
	code, out, _ := callvault(t, nil, "version", "--json")
	var info versionJSON
	if err := json.Unmarshal([]byte(out), &info); err != nil || code != exitOK || info.Go == "" || info.Version == "" {
		t.Errorf("exit %d, printed %q: %v", code, out, err)
	}
}

func TestWrongUse(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"no command":      {nil, []string{"expected", "callvault --help"}},
		"unknown command": {[]string{"destroy"}, []string{"destroy", "callvault --help"}},
		"no roles":        {[]string{"run"}, []string{"name the roles: api, worker, scheduler", "callvault run --help"}},
		"a negative":      {[]string{"tenant", "set", "acme", "--day-limit", "-1"}, []string{"--day-limit is negative (-1)", "callvault tenant set --help"}},
		"no number":       {[]string{"tenant", "set", "acme", "--day-limit", "0x9"}, []string{`--day-limit: "0x9" is no whole number`, "callvault tenant set --help"}},
		"no time":         {[]string{"ready", "--timeout", "2 days"}, []string{`--timeout: "2 days" is not a duration such as 90s, 6h or 7d`, "callvault ready --help"}},
		"days":            {[]string{"webhook", "rotate", "--tenant", "acme", "whe_1", "--grace", "31d"}, []string{"--grace must be 0 to"}},
		"on and off":      {[]string{"tenant", "set", "acme", "--feature", "export_api", "--no-feature", "export_api"}, []string{"both name export_api"}},
		"no value":        {[]string{"standalone", "--admin-readonly"}, []string{"--admin-readonly: a value is missing", "callvault standalone --help"}},
		"no text":         {[]string{"tenant", "set", "acme", "--name"}, []string{"--name: a value is missing", "callvault tenant set --help"}},
		"no such state":   {[]string{"webhook", "deliveries", "--tenant", "acme", "--state", "lost"}, []string{`--state must be one of "pending","delivered","failed" but got "lost"`}},
		"unknown flag":    {[]string{"version", "--yaml"}, []string{"--yaml", "callvault version --help"}},
	} {
		code, out, errs := callvault(t, nil, tc.args...)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit %d, printed %q; want %d and nothing", name, code, out, exitUsage)
		}
		for _, want := range tc.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: %q does not speak of %q", name, errs, want)
			}
		}
	}
}

// Hours and ids often begin with a zero: 09 is nine, and 010 is ten and not octal.
func TestNumbersAreDecimal(t *testing.T) {
	for _, text := range []string{"9", "09", "010"} {
		var got struct {
			Hour      *int
			MessageID *int64
		}
		parser, err := kong.New(&got, wholeNumbers()...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse([]string{"--hour", text, "--message-id", text}); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want, _ := strconv.Atoi(text); *got.Hour != want || *got.MessageID != int64(want) {
			t.Errorf("%s: hour %d, message id %d; want %d", text, *got.Hour, *got.MessageID, want)
		}
	}
}

func TestReport(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		code int
		want string
	}{
		"success":     {nil, exitOK, ""},
		"reported":    {fmt.Errorf("verify: %w", errReported), exitFailed, ""},
		"failure":     {domain.Wrap(domain.KindUnavailable, io.ErrUnexpectedEOF, "the store\x1b[2J hung up"), exitFailed, "callvault: the store\ufffd[2J hung up: unexpected EOF\nTo learn more, run: callvault doctor\n"},
		"advice":      {domain.Errorf(domain.KindUnavailable, "the schema is older; run: callvault migrate up"), exitFailed, "callvault: the schema is older; run: callvault migrate up\n"},
		"tabs":        {errors.New("no answer:\n\ta: refused"), exitFailed, "callvault: no answer:\n    a: refused\n"},
		"interrupted": {fmt.Errorf("pull: %w", context.Canceled), exitFailed, "callvault: interrupted; run the command again to go on\n"},
		"wrong use":   {&usageError{"--day and --from exclude each other"}, exitUsage, "callvault: --day and --from exclude each other\n"},
		"settings": {
			&config.Error{Problems: []config.Problem{{Variable: "CALLVAULT_A", Text: "missing"}, {Variable: "CALLVAULT_B", Text: "wrong"}}},
			exitUsage, "callvault: these settings cannot be used:\n  CALLVAULT_A: missing\n  CALLVAULT_B: wrong\n",
		},
		"twice":   {errors.Join(errors.New("one"), errors.New("one")), exitFailed, "callvault: one\n"},
		"several": {errors.Join(errors.New("one"), errors.New("two")), exitFailed, "callvault: one\ntwo\n"},
	} {
		var errs bytes.Buffer
		d := &deps{stderr: &errs}
		if code := d.report(tc.err); code != tc.code || errs.String() != tc.want {
			t.Errorf("%s: exit %d, said %q; want %d, %q", name, code, errs.String(), tc.code, tc.want)
		}
	}
}

// A mistyped data directory must not become a new installation.
func TestCommandsMakeNoDataDirectory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "typo")
	for _, args := range [][]string{
		{"tenant", "list"}, {"archive", "--tenant", "acme", "--day", "yesterday"}, {"migrate", "status"}, {"audit", "--from", "today", "--to", "today"},
	} {
		code, out, errs := callvault(t, nil, append(args, "--data", data)...)
		if code != exitFailed || out != "" || !strings.Contains(errs, "holds no callvault data: it has no catalog.db") || !strings.Contains(errs, "callvault standalone") {
			t.Errorf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
		if _, err := os.Stat(data); !os.IsNotExist(err) {
			t.Fatalf("%v made it: %v", args, err)
		}
	}
	// A directory with only a lock, which a killed first start leaves, has no data either.
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, data, "callvault.lock", nil)
	if code, _, errs := callvault(t, nil, "tenant", "list", "--data", data); code != exitFailed || !strings.Contains(errs, "no callvault data") {
		t.Errorf("exit %d, %q", code, errs)
	}
	for _, args := range [][]string{{"migrate", "up"}, {"tenant", "list"}} {
		if code, _, errs := callvault(t, nil, append(args, "--data", data)...); code != exitOK {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
	}
}

func TestABusyPortLeavesNoDataDirectory(t *testing.T) {
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }() // the test ends
	data := filepath.Join(t.TempDir(), "new")
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	for _, args := range [][]string{{"standalone", "--data", data}, {"demo"}} {
		code, _, errs := callvault(t, nil, append(args, "--listen", busy.Addr().String())...)
		if code != exitFailed || !strings.Contains(errs, "another program has port "+port) || !strings.Contains(errs, "--listen HOST:PORT (CALLVAULT_LISTEN)") {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the directory was made: %v", err)
	}
}
