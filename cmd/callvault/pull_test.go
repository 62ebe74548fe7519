package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/config"
)

func TestPullDays(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("", 3600)) // still February in UTC
	for name, tc := range map[string]struct {
		cmd  pullCmd
		want []string // nil for wrong use
	}{
		"one":         {pullCmd{Day: "2025-12-12"}, []string{"2025-12-12"}},
		"yesterday":   {pullCmd{Day: "yesterday"}, []string{"2026-02-27"}},
		"range":       {pullCmd{From: "2025-12-31", To: "2026-01-01"}, []string{"2025-12-31", "2026-01-01"}},
		"to now":      {pullCmd{From: "2026-02-26", To: "yesterday"}, []string{"2026-02-26", "2026-02-27"}},
		"none":        {pullCmd{}, nil},
		"backwards":   {pullCmd{From: "2026-01-02", To: "2026-01-01"}, nil},
		"no day":      {pullCmd{Day: "2026-02-30"}, nil},
		"far too far": {pullCmd{From: "1000-01-01", To: "2026-01-01"}, nil},
	} {
		got, err := tc.cmd.days(now)
		if !slices.Equal(got, tc.want) || (err == nil) != (tc.want != nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestPullCredentials(t *testing.T) {
	dir := t.TempDir()
	good := save(t, dir, "app.json", []byte(`{"client_id": "a", "client_secret": "b", "tenant": "acme"}`))
	bad := save(t, dir, "bad.json", []byte(`{"client_id": "a", "client_secret": ""}`))
	secret := save(t, dir, "secret", []byte("b\n"))
	const at = "https://callvault.example.com"
	for name, tc := range map[string]struct {
		cmd  pullCmd
		env  config.Env
		want string // in the error, "" for none
	}{
		"variables":    {pullCmd{}, config.Env{"CALLVAULT_URL": at, "CALLVAULT_CLIENT_ID": "a", "CALLVAULT_CLIENT_SECRET": "b"}, ""},
		"secret file":  {pullCmd{URL: at}, config.Env{"CALLVAULT_CLIENT_ID": "a", "CALLVAULT_CLIENT_SECRET_FILE": secret}, ""},
		"file":         {pullCmd{URL: at, Credentials: good}, nil, ""},
		"nothing":      {pullCmd{}, nil, "CALLVAULT_CLIENT_ID: missing; set it or use --credentials\nCALLVAULT_CLIENT_SECRET: missing"},
		"both secrets": {pullCmd{URL: at}, config.Env{"CALLVAULT_CLIENT_ID": "a", "CALLVAULT_CLIENT_SECRET": "hush", "CALLVAULT_CLIENT_SECRET_FILE": secret}, "only one of the two"},
		"no such file": {pullCmd{URL: at, Credentials: dir + "/none"}, nil, "no such file"},
		"empty secret": {pullCmd{URL: at, Credentials: bad}, nil, "not a JSON object with client_id and client_secret"},
		"bad URL":      {pullCmd{URL: "callvault", Credentials: good}, nil, "lacks https:// or http://"},
	} {
		_, err := tc.cmd.client(tc.env)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPullWrongUse(t *testing.T) {
	for _, args := range []string{"", "--out x", "--day 2025-12-12", "--out x --from 2025-12-12", "--out x --to 2025-12-12",
		"--out x --day 2025-12-12 --from 2025-12-12 --to 2025-12-12", "--out x --day 2025-12-12 --parallel 0", "--out x --day 2025-12-12 --poll 1ms", "--out x --day monday"} {
		code, out, errs := callvault(t, nil, append([]string{"pull"}, strings.Fields(args)...)...)
		if code != exitUsage || out != "" || errs == "" {
			t.Errorf("%q: exit %d, printed %q and %q", args, code, out, errs)
		}
	}
}

func TestDayLines(t *testing.T) {
	got := strings.Join(dayLines(&client.DayResult{Date: "2025-12-12", State: client.DayIncomplete, Hours: []client.HourResult{
		{Hour: "00", State: client.HourDownloaded, Missing: 1, Rebuilding: true}, {Hour: "01", State: client.HourPending}, {Hour: "02", State: client.HourFailed},
		{Hour: "03", State: client.HourLimited, Err: fmt.Errorf("limited for 3s")},
		{Hour: "04", State: client.HourFailed}, {Hour: "05", State: client.HourFailed}, {Hour: "06", State: client.HourFailed},
		{Hour: "07", State: client.HourLimited, Err: fmt.Errorf("limited for 3s")},
		{Hour: "08", State: client.HourPresent, Checked: true}, {Hour: "09", State: client.HourPresent}, {Hour: "10", State: client.HourPresent},
	}, Err: errors.Join(errors.New("one"), errors.New("two"))}), "\n")
	want := "2025-12-12  incomplete  1 downloaded, 1 already there and read again, 2 already there, not read again, 1 pending, 1 with a newer revision to come, 1 recording declared missing, one; two\n" +
		"  02, 04-06  failed on the server\n  03, 07  limited: limited for 3s"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPullProgress(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	lines := console.NewProgress(t.Context(), &out, false, func() time.Time { at = at.Add(10 * time.Second); return at })
	p := newPullProgress(lines)
	p.Plan("2025-12-12", 1, 100)
	p.Start("2025-12-12/14.zip", 40, 100)
	p.Advance("2025-12-12/14.zip", 20)
	p.Start("2025-12-12/14.zip", 0, 100) // starts over: the total has 60 of its bytes already
	p.Advance("2025-12-12/14.zip", 100)
	p.End("2025-12-12/14.zip", nil)
	p.Note("a note")
	p.close()
	for _, want := range []string{"2025-12-12/14.zip: 60 B of 100 B (60 %)", "2025-12-12 total: 60 B of 100 B (60 %)", "2025-12-12 total: 100 B of 100 B (100 %)",
		"2025-12-12/14.zip: done, 100 B", "a note", "2025-12-12 total: done, 100 B"} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
}

// TestPullThatFailedIsNotDone has a day of which one file failed, and one that is cut off.
func TestPullThatFailedIsNotDone(t *testing.T) {
	for name, end := range map[string]func(p *pullProgress){
		"failed": func(p *pullProgress) {
			p.Start("14.zip", 0, 50)
			p.End("14.zip", errReported)
		},
		"refused at once": func(*pullProgress) {},
	} {
		var out bytes.Buffer
		p := newPullProgress(console.NewProgress(t.Context(), &out, false, time.Now))
		p.Plan("2025-12-12", 2, 100)
		p.Start("15.zip", 0, 50)
		p.Advance("15.zip", 50)
		p.End("15.zip", nil)
		end(p)
		p.close()
		if text := out.String(); strings.Contains(text, "total: done") || !strings.Contains(text, "2025-12-12 total: failed after 50 B\n") {
			t.Errorf("%s: it says\n%s", name, text)
		}
	}
}

// TestPullFromAServer pulls from a real server: it kills a pull, resumes it, repeats it, gets a new
// revision, and is limited and refused.
func TestPullFromAServer(t *testing.T) {
	s := newPullServer(t)
	out := t.TempDir()
	zip := filepath.Join(out, s.day, "14.zip")

	held := s.holdDownload("14", 1<<20)
	pull := s.start("pull", "--day", s.day, "--out", out)
	<-held.reached
	waitForSize(t, zip+".part", 1<<20)
	code, _, errs := callvault(t, s.env, "pull", "--day", s.day, "--out", out)
	if code != exitFailed || !strings.Contains(errs, "another pull is writing") {
		t.Errorf("a second pull: exit %d, said %q", code, errs)
	}
	if err := pull.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := pull.Wait(); err == nil {
		t.Error("the killed pull ended well")
	}
	held.end()
	if _, err := os.Stat(zip); err == nil {
		t.Fatal("a cut archive got its name")
	}
	left := size(t, zip+".part")

	s.reset()
	result := s.pull(exitOK, "--day", s.day, "--out", out)
	if got, want := s.sent("14"), size(t, zip)-left; got != want {
		t.Errorf("%d bytes of hour 14 came after the kill, %d were missing", got, want)
	}
	if h := result.Days[0].Hours[14]; result.State != "complete" || h.State != "downloaded" || h.File != zip || h.Revision != 1 {
		t.Errorf("hour 14 is %+v", h)
	}
	if code, text, _ := callvault(t, nil, "verify", out); code != exitOK {
		t.Errorf("the archives do not verify:\n%s", text)
	}
	s.reset()
	s.pull(exitOK, "--day", s.day, "--out", out)
	if n := s.asked("14") + s.asked("09"); n != 0 {
		t.Errorf("%d downloads for what is there", n)
	}

	s.mendDamage(out, zip)

	s.addLateRecording()
	s.reset()
	result = s.pull(exitOK, "--day", s.day, "--out", out)
	if h := result.Days[0].Hours[14]; h.Revision != 2 || h.State != "downloaded" || s.asked("09") != 0 || result.Days[0].Hours[9].State != "present" {
		t.Errorf("hour 14 is %+v, hour 09 was asked for %d times", h, s.asked("09"))
	}
	if left, err := filepath.Glob(filepath.Join(out, s.day, "*.part*")); err != nil || len(left) > 0 {
		t.Errorf("these were left behind: %v, %v", left, err)
	}
	s.refusals(out)
}

// mendDamage damages the archive of hour 14, and runs the command that verify names.
func (s *pullServer) mendDamage(out, zip string) {
	t := s.t
	if err := os.WriteFile(zip, bytes.Repeat([]byte{0}, int(size(t, zip))), 0o600); err != nil {
		t.Fatal(err)
	}
	code, text, _ := callvault(t, nil, "verify", out)
	command := "callvault pull --recheck --day " + s.day + " --out " + out
	if code != exitFailed || !strings.Contains(text, "\n    "+command+"\n") {
		t.Errorf("exit %d, verify says\n%s", code, text)
	}
	if h := s.pull(exitOK, "--day", s.day, "--out", out).Days[0].Hours[14]; h.State != "present" || h.Checked {
		t.Errorf("hour 14 is %+v", h)
	}
	code, text, _ = callvault(t, s.env, strings.Fields(command)[1:]...)
	if code != exitOK || !strings.Contains(text, "1 downloaded, 1 already there and read again") {
		t.Errorf("exit %d, it says\n%s", code, text)
	}
	if code, text, _ := callvault(t, nil, "verify", out); code != exitOK {
		t.Errorf("the archive is not mended:\n%s", text)
	}
}

// refusals checks the exit codes of pulls that are not complete.
func (s *pullServer) refusals(out string) {
	t := s.t
	today := s.pull(exitIncomplete, "--day", s.today, "--out", out)
	if today.State != "incomplete" || today.Days[0].Hours[23].State != "pending" {
		t.Errorf("today is %+v", today)
	}
	s.pull(exitRefused, "--day", "2020-01-01", "--out", out)
	s.pull(exitRefused, "--day", "2999-01-01", "--out", out)
	s.run("tenant", "set", "acme", "--day-limit", "1")
	limited := s.pull(exitIncomplete, "--from", s.day, "--to", s.day, "--out", out, "--no-wait")
	if d := limited.Days[0]; d.State != "incomplete" || !strings.Contains(d.Error, "Download limit exceeded") || !strings.Contains(d.Error, "the limit of requests for days in an hour") {
		t.Errorf("the limited day is %+v", d)
	}
	s.run("tenant", "set", "acme", "--no-feature", "daily_audio_recordings")
	s.pull(exitRefused, "--day", s.day, "--out", out)
	s.env["CALLVAULT_CLIENT_SECRET"] = "wrong"
	code, stdout, stderr := callvault(t, s.env, "pull", "--day", s.day, "--out", out)
	if code != exitRefused || !strings.Contains(stdout, "refused") || strings.Contains(stdout+stderr, "wrong ") {
		t.Errorf("exit %d, printed %q and %q", code, stdout, stderr)
	}
}

// pull runs pull --json and checks the exit code, and that no output holds a link or the secret.
func (s *pullServer) pull(want int, args ...string) pullJSON {
	s.t.Helper()
	code, stdout, stderr := callvault(s.t, s.env, append([]string{"pull", "--json"}, args...)...)
	if code != want || strings.Contains(stdout+stderr, "token=") || strings.Contains(stdout+stderr, s.env["CALLVAULT_CLIENT_SECRET"]) {
		s.t.Fatalf("pull %v: exit %d, want %d; printed\n%s\n%s", args, code, want, stdout, stderr)
	}
	var result pullJSON
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		s.t.Fatal(err)
	}
	return result
}

// An interrupted pull is incomplete.
func TestPullInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	env := config.Env{"CALLVAULT_URL": server.URL, "CALLVAULT_CLIENT_ID": "app", "CALLVAULT_CLIENT_SECRET": "secret"}
	var out, errs strings.Builder
	code := run(ctx, []string{"pull", "--day", "yesterday", "--out", t.TempDir()}, strings.NewReader(""), &out, &errs, env)
	if code != exitIncomplete || !strings.Contains(out.String(), "incomplete") || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit %d, printed %q and %q", code, out.String(), errs.String())
	}
}
