package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/testenv"
)

func newParser(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := kong.New(&commands{}, append(append(config.NewSource(nil).Options(), wholeNumbers()...), kong.Name("callvault"), names(),
		kong.Bind(&helpMode{}), kong.Exit(func(int) {}), kong.Writers(t.Output(), t.Output()))...)
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// screenLines is what a command's own help may have.
const screenLines = 50

// TestEveryCommandHasHelp checks that each command's help has a sentence and examples, and fits a
// screen.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, leaf := range newParser(t).Model.Leaves(false) {
		if !strings.HasSuffix(leaf.Help, ".") {
			t.Errorf("%s has no sentence of help: %q", leaf.Path(), leaf.Help)
		}
		args := strings.Fields(leaf.FullPath() + " --help")[1:]
		code, out, errs := callvault(t, nil, args...)
		if code != exitOK || errs != "" || !strings.Contains(out, "Examples:") || strings.Count(out, "\n") > screenLines {
			t.Errorf("%v: exit %d, stderr %q, no examples, or more than %d lines in\n%s", args, code, errs, screenLines, out)
		}
	}
	code, out, _ := callvault(t, nil, "--help")
	if code != exitOK || !strings.Contains(out, "Exit codes:") || strings.Contains(out, "tenant create") || strings.Count(out, "\n") > screenLines {
		t.Errorf("exit %d, no exit codes, or more than a screen:\n%s", code, out)
	}
	if _, out, _ = callvault(t, nil, "--help", "--help-all"); strings.Count(out, "Usage:") != 1 {
		t.Errorf("help is printed more than once:\n%s", out)
	}
	if _, out, _ = callvault(t, nil, "--help-all"); !strings.Contains(out, "tenant create") {
		t.Errorf("not all commands are in\n%s", out)
	}
}

func TestHelpFoldsSettings(t *testing.T) {
	_, out, _ := callvault(t, nil, "archive", "--help")
	if strings.Contains(out, "--redis-url") || !strings.Contains(out, "--wait") || !strings.Contains(out, "callvault archive --help-all") {
		t.Errorf("settings are not folded in\n%s", out)
	}
	_, out, _ = callvault(t, nil, "archive", "--help-all")
	if own, storage := strings.Index(out, "--wait"), strings.Index(out, "--data"); own < 0 || storage < own {
		t.Errorf("a command's own flags do not come before those of the storage:\n%s", out)
	}
	if _, out, _ = callvault(t, nil, "api", "--help-all"); !strings.Contains(strings.Join(strings.Fields(out), " "), "($CALLVAULT_ADMIN_READONLY; on or off; default off)") {
		t.Errorf("the help does not say what a switch takes:\n%s", out)
	}
	if _, out, _ = callvault(t, nil, "worker", "--help-all"); strings.Contains(out, "default embedded") {
		t.Errorf("a role has no embedded parts:\n%s", out)
	}
}

// TestExamplesAreAccepted parses every example of every command's help.
func TestExamplesAreAccepted(t *testing.T) {
	word := regexp.MustCompile(`'[^']*'|[^\s|<>&]+|[|<>&]`)
	for _, leaf := range newParser(t).Model.Leaves(false) {
		_, examples, _ := strings.Cut(leaf.Detail, "Examples:")
		for line := range strings.SplitSeq(examples, "\n") {
			_, command, found := strings.Cut(line, "callvault ")
			if !found {
				continue
			}
			var args []string
			for _, w := range word.FindAllString(command, -1) {
				if strings.ContainsAny(w[:1], "|<>&") {
					break
				}
				args = append(args, strings.Trim(w, "'"))
			}
			if _, err := newParser(t).Parse(args); err != nil && args[0] != "--version" {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

func TestManualPageRenders(t *testing.T) {
	code, page, errs := callvault(t, nil, "man")
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d, %q", code, errs)
	}
	for _, want := range []string{".SS callvault tenant set <id>", `.B CALLVAULT_LINK_TTL, \-\-link\-ttl`, `callvault migrate up \-\-adopt\-bucket`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Count(page, `redis\-url`) != 1 {
		t.Error("a setting does not stand once")
	}
	cmd := exec.CommandContext(t.Context(), "groff", "-k", "-man", "-ww", "-Tutf8", "-z")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

// TestBashCompletes calls the completion as bash does.
func TestBashCompletes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(testenv.Program(t), filepath.Join(dir, "callvault")); err != nil {
		t.Fatal(err)
	}
	script := `source <(callvault completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _callvault callvault; echo "${#COMPREPLY[@]} ${COMPREPLY[*]}"; }
try callvault te
try callvault tenant ""
try callvault tenant set acme --ret
try callvault tenant set --feature ""
try callvault archive --tenant acme --day = y
try callvault api --download-mode ""
try callvault completion ""
try callvault import --audio ""
try callvault verify ""
try callvault webhook deliveries --state ""
`
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	want := "1 tenant\n6 create list set close open delete\n1 --retention-days\n2 daily_audio_recordings export_api\n1 yesterday\n2 redirect proxy\n3 bash zsh fish\n0 \n0 \n" +
		"3 pending delivered failed\n"
	if err != nil || string(out) != want {
		t.Errorf("bash completes\n%s\nwant\n%s%v", out, want, err)
	}
}
