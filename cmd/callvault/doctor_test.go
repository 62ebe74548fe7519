package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	file := save(t, filepath.Dir(data), "file", nil)
	if code, out, _ := callvault(t, nil, "doctor", "--data", file); code != exitFailed || !strings.Contains(out, "not a directory") || !strings.Contains(out, "--data naming the directory") {
		t.Errorf("a file: exit %d\n%s", code, out)
	}
	if code, out, _ := callvault(t, nil, "doctor", "--data", file, "--roles", "worker"); code != exitFailed || !strings.Contains(out, "leave --roles out") {
		t.Errorf("roles without parts: exit %d\n%s", code, out)
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

// TestDoctorLeavesTheDataDirectory compares every file of a data directory before and after: of a
// new one, and of one in which a start would mend something.
func TestDoctorLeavesTheDataDirectory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if code, _, errs := callvault(t, nil, "migrate", "up", "--data", data); code != 0 {
		t.Fatal(errs)
	}
	for _, damage := range []func() error{
		func() error { return nil },
		func() error {
			return errors.Join(os.Remove(filepath.Join(data, "callvault.lock")),
				os.Remove(filepath.Join(data, "objects/archives/callvault/installation%info")),
				os.WriteFile(filepath.Join(data, "run.json"), []byte(`{"pid":1}`), 0o600))
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		before := tree(t, data)
		if code, out, errs := callvault(t, nil, "doctor", "--data", data); code != 0 || errs != "" || !strings.Contains(out, "ok    catalog schema") {
			t.Errorf("exit %d, stderr %q\n%s", code, errs, out)
		}
		if d := cmp.Diff(before, tree(t, data)); d != "" {
			t.Errorf("it changed files (-before +after):\n%s", d)
		}
	}
	before := tree(t, data)
	if code, out, _ := callvault(t, nil, "doctor", "--data", data, "--try"); code != 0 || cmp.Equal(before, tree(t, data)) {
		t.Errorf("with --try it tries nothing: exit %d\n%s", code, out)
	}
}

// tree gives every file below a directory with its time of change and its content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			var text []byte
			text, err = os.ReadFile(path)
			files[path] = info.ModTime().String() + " " + string(text)
			return err
		}
		if err == nil {
			files[path] = info.ModTime().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestDoctorSaysAThingOnce reads what is printed where several checks have one cause.
func TestDoctorSaysAThingOnce(t *testing.T) {
	text := doctorText{advised: map[string]string{}}
	var out string
	for _, r := range []doctor.Result{
		{Name: "catalog", Status: doctor.Fail, Saw: "no\nanswer\nanswer", Advice: "start it"},
		{Name: "catalog schema", Status: doctor.Skipped, Saw: "because catalog is failing"},
		{Name: "hours", Status: doctor.Skipped, Saw: "because catalog is failing"},
		{Name: "redis", Status: doctor.Fail, Saw: "none", Advice: "start it"},
		{Name: "redis memory", Status: doctor.Skipped, Saw: "it has no limit"},
		{Name: "workers", Status: doctor.Skipped, Saw: "because redis is failing"},
		{Name: "installation", Status: doctor.Skipped, Saw: "because catalog is failing"},
	} {
		out += text.next(r)
	}
	want := `FAIL  catalog              no
                           answer
                           → start it
FAIL  redis                none
                           → as for catalog
-     3 checks             because catalog is failing: catalog schema, hours, installation
-     redis memory         it has no limit
-     workers              because redis is failing
`
	if d := cmp.Diff(want, out+text.rest()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
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
