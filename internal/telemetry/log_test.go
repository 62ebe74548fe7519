package telemetry

import (
	"bytes"
	"encoding/json"
	standard "log" //nolint:depguard // the test writes to it as libraries do
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestLinesAreJSONInUTC(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger("info", &out, false)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not shown")
	log.Named("worker").Error("build failed", zap.String("hour", "acme/2025-12-12/14"), zap.Duration("took", 1500*time.Millisecond))

	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON line: %v\n%s", err, out.String())
	}
	at, err := time.Parse(time.RFC3339, line["time"].(string))
	if err != nil || at.Location() != time.UTC {
		t.Errorf("time is %v, %v; want RFC 3339 in UTC", line["time"], err)
	}
	delete(line, "time")
	for key, want := range map[string]string{
		"level": "error", "logger": "worker", "message": "build failed", "hour": "acme/2025-12-12/14", "took": "1.5s",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %s", key, line[key], want)
		}
		delete(line, key)
	}
	if len(line) != 0 {
		t.Errorf("the line holds more: %v", line)
	}
}

func TestTerminalLinesAreText(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger("debug", &out, true)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("claimed", zap.Int("hour", 14))
	if got := out.String(); !strings.Contains(got, "  claimed  {\"hour\": 14}\n") || !strings.Contains(got, "DEBUG") {
		t.Errorf("got %q", got)
	}
}

func TestUnknownLevel(t *testing.T) {
	if _, err := NewLogger("loud", &bytes.Buffer{}, false); err == nil {
		t.Error("an unknown level is taken")
	}
}

// TestStandardLog: what a library writes to Go's standard logger is a normal log line.
func TestStandardLog(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger("info", &out, false)
	if err != nil {
		t.Fatal(err)
	}
	restore := TakeStandardLog(log)
	standard.Printf("could not delete\n{\"level\":\"error\",\"message\":\"forged\"}")
	restore()
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON line: %v\n%s", err, out.String())
	}
	if line["level"] != "warn" || line["logger"] != "library" || line["message"] != "could not delete\n{\"level\":\"error\",\"message\":\"forged\"}" {
		t.Errorf("the line is %v", line)
	}
	if standard.Writer() != os.Stderr {
		t.Error("Go's standard logger is not restored")
	}
}
