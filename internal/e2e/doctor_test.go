package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

type doctorResult struct{ Name, Status, Saw, Advice string }

// doctor runs the command and returns its results by check.
func (f *fixture) doctor(code int) map[string]doctorResult {
	f.t.Helper()
	p := f.run(nil, "doctor", "--json")
	if got := p.code(); got != code {
		f.t.Errorf("doctor exits with %d, want %d", got, code)
	}
	var answer struct{ Checks []doctorResult }
	f.must(json.Unmarshal([]byte(p.out.String()), &answer))
	all := map[string]doctorResult{}
	for _, r := range answer.Checks {
		all[r.Name] = r
	}
	return all
}

func (f *fixture) found(got map[string]doctorResult, status string, names ...string) {
	f.t.Helper()
	for _, name := range names {
		if got[name].Status != status {
			f.t.Errorf("%s is %+v, want %s", name, got[name], status)
		}
	}
}

// TestDoctorOfStandalone runs the doctor beside a standalone, without one, and when another server
// answers at the public URL.
func TestDoctorOfStandalone(t *testing.T) {
	f := newStandalone(t)
	delete(f.env, "CALLVAULT_PUBLIC_URL")
	p := f.standalone()
	got := f.doctor(0)
	f.found(got, "ok", "settings", "schedule", "disk", "catalog", "catalog server", "catalog rights", "catalog schema", "catalog clock", "signing keys",
		"redis", "redis server", "redis rights", "objects", "recordings bucket", "archives bucket", "workers", "hours", "public URL")
	f.found(got, "skipped", "objects clock", "links to objects", "redis memory", "outside issuer", "catalog connections")

	other := newStandalone(t)
	delete(other.env, "CALLVAULT_PUBLIC_URL")
	q := other.standalone()
	f.env["CALLVAULT_PUBLIC_URL"] = "http://" + q.serving()
	got = f.doctor(1)
	f.found(got, "fail", "public URL")
	if !strings.Contains(got["public URL"].Saw, "another callvault") {
		t.Errorf("of another installation it says %+v", got["public URL"])
	}
	delete(f.env, "CALLVAULT_PUBLIC_URL")
	q.term()
	f.clean()
	p.term()

	got = f.doctor(0)
	f.found(got, "ok", "disk", "catalog", "catalog schema", "signing keys", "objects", "recordings bucket", "archives bucket")
	f.found(got, "skipped", "redis", "workers", "public URL")
}
