package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
)

func TestDoctorWithNothingThere(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	code, out, errs := callvault(t, nil, "doctor", "--data", data)
	if code != exitFailed || errs != "" || !strings.Contains(out, "FAIL  disk                 no callvault standalone has run here yet") ||
		!strings.Contains(out, "ask where callvault runs") || !strings.Contains(out, " 1 failing") {
		t.Errorf("exit %d, stderr %q\n%s", code, errs, out)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("it made the data directory")
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := callvault(t, nil, "doctor", "--data", data); code != exitFailed || !strings.Contains(out, "holds no callvault data") {
		t.Errorf("an empty directory: exit %d\n%s", code, out)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("it left %v in the data directory, %v", left, err)
	}
}

func TestDoctorAndSettings(t *testing.T) {
	env := config.Env{"CALLVAULT_DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/db", "CALLVAULT_REDIS_URL": "nowhere",
		"CALLVAULT_S3_ENDPOINT": "http://127.0.0.1:1", "CALLVAULT_S3_ACCESS_KEY": "access", "CALLVAULT_S3_SECRET_KEY": "hunter22"}
	code, out, errs := callvault(t, env, "doctor", "--roles", "api", "--json", "--timeout", "5s")
	var d doctorJSON
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != exitFailed || errs != "" || d.Status != doctor.Fail {
		t.Fatalf("exit %d, %v, stderr %q\n%s", code, err, errs, out)
	}
	got := map[string]doctor.Result{}
	for _, r := range d.Checks {
		got[r.Name] = r
	}
	settings := got["settings"].Saw
	if !strings.Contains(settings, "CALLVAULT_PUBLIC_URL: missing") || !strings.Contains(settings, "CALLVAULT_REDIS_URL: not the URL") {
		t.Errorf("the settings: %s", settings)
	}
	for name, status := range map[string]doctor.Status{"catalog": doctor.Fail, "redis": doctor.Skipped, "objects": doctor.Fail, "schedule": doctor.OK} {
		if got[name].Status != status {
			t.Errorf("%s is %+v", name, got[name])
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Errorf("a secret is printed:\n%s", out)
	}
	for _, args := range [][]string{{"--roles", "cook"}, {"--timeout", "1ms"}} {
		if code, _, _ := callvault(t, nil, append([]string{"doctor"}, args...)...); code != exitUsage {
			t.Errorf("%v exits with %d", args, code)
		}
	}
}
