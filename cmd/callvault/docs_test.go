package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/client/verify"
)

// TestRecordingsPageRuns runs every bash line of the page for tenants.
func TestRecordingsPageRuns(t *testing.T) {
	t.Setenv("CALLVAULT_HEAL_INTERVAL", "200ms") // the seal is out when it is asked for
	s := newPullServer(t)
	dir, out := runPage(t, "recordings-api.md", "CALLVAULT_URL="+s.env["CALLVAULT_URL"], "CLIENT_ID="+s.env["CALLVAULT_CLIENT_ID"],
		"CLIENT_SECRET="+s.env["CALLVAULT_CLIENT_SECRET"], "DAY="+s.day)
	if !strings.Contains(strings.ToLower(out), "x-ratelimit-remaining: 99") {
		t.Errorf("no limit in\n%s", out)
	}
	for _, hour := range []string{"09", "14"} {
		r, err := verify.File(t.Context(), filepath.Join(dir, hour+".zip"))
		if err != nil || !r.OK() {
			t.Errorf("hour %s: %v %v", hour, err, r.Problems)
		}
	}
}

// TestExportsPageRuns does the same with the page about exports.
func TestExportsPageRuns(t *testing.T) {
	s := newPullServer(t)
	s.run("tenant", "set", "acme", "--feature", "export_api", "--feature", "daily_audio_recordings")
	var key struct {
		Key string `json:"api_key"`
	}
	if err := json.Unmarshal(s.run("key", "create", "--tenant", "acme", "--json"), &key); err != nil {
		t.Fatal(err)
	}
	lines := strings.ReplaceAll(`{"kind":"agent","agentId":"agent_1","name":"Support bot"}
{"kind":"conversation","conversationId":"c1","agentId":"agent_1","startTime":"DAYT09:14:00Z","endTime":"DAYT09:16:00Z","status":"done","transcript":{"raw":"[{\"role\":\"user\",\"content\":\"Hello\"}]","createdAt":"DAYT09:16:00Z"},"recording":{"id":"rec_1","objectKey":"k/a.opus","createdAt":"DAYT09:16:00Z"}}
`, "DAY", s.day)
	at, err := time.Parse(time.DateOnly, s.day)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		lines += fmt.Sprintf(`{"kind":"message","messageId":"m-%d","conversationId":"c1","time":%d,"type":"UserInput","userInput":"Hello"}`+"\n", i, at.Unix()+int64(33300+i))
	}
	s.run("import", "--tenant", "acme", save(t, s.dir, "conversation.ndjson", []byte(lines)))
	dir, out := runPage(t, "exports.md", "CALLVAULT_URL="+s.env["CALLVAULT_URL"], "API_KEY="+key.Key, "CONVERSATION=c1")
	if !strings.Contains(out, "c1\tdone\t1") || !strings.Contains(out, "user: Hello") {
		t.Errorf("it printed\n%s", out)
	}
	for name, lines := range map[string]int{"messages.ndjson": 5, "conversations.ndjson": 1} {
		if text := read(t, filepath.Join(dir, name)); strings.Count(text, "\n") != lines {
			t.Errorf("%s holds\n%s", name, text)
		}
	}
	if read(t, filepath.Join(dir, "audio.opus")) != read(t, filepath.Join(dir, "recording.opus")) || len(read(t, filepath.Join(dir, "audio.opus"))) != 1000 {
		t.Error("the audio differs")
	}
}

// TestAuditPageRuns does the same with the page about the audit log. A line about a download must
// name the application to which the link was issued.
func TestAuditPageRuns(t *testing.T) {
	t.Setenv("CALLVAULT_HEAL_INTERVAL", "200ms") // the seal is out when it is asked for
	s := newPullServer(t)
	dir, _ := runPage(t, "recordings-api.md", "CALLVAULT_URL="+s.env["CALLVAULT_URL"], "CLIENT_ID="+s.env["CALLVAULT_CLIENT_ID"],
		"CLIENT_SECRET="+s.env["CALLVAULT_CLIENT_SECRET"], "DAY="+s.day)
	if err := os.Symlink(s.program, filepath.Join(dir, "callvault")); err != nil {
		t.Fatal(err)
	}
	_, out := runPage(t, "audit.md", "PATH="+dir+":"+os.Getenv("PATH"), "CALLVAULT_DATA="+s.data, "TENANT=acme", "DAY="+s.day)
	for _, hour := range []string{"09", "14"} {
		if !strings.Contains(out, "\t"+s.day+"\t"+hour+"\t127.0.0.1\tapp:"+s.env["CALLVAULT_CLIENT_ID"]+"\n") {
			t.Errorf("hour %s is not in\n%s", hour, out)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// runPage runs the bash lines of a page in a new directory and returns what they print.
func runPage(t *testing.T, page string, env ...string) (dir, printed string) {
	t.Helper()
	var script strings.Builder
	for i, block := range strings.Split(read(t, filepath.Join("..", "..", "docs", page)), "```bash\n") {
		if code, _, ok := strings.Cut(block, "```"); ok && i > 0 {
			script.WriteString(code)
		}
	}
	if script.Len() == 0 {
		t.Fatal("the page has no bash lines")
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script.String())
	dir = t.TempDir()
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir, string(out)
}
