package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

type doctorResult struct{ Name, Status, Saw, Advice string }

// doctor runs the command and gives its results by check.
func (w *world) doctor(code int) map[string]doctorResult {
	w.t.Helper()
	p := w.run(nil, "doctor", "--json")
	if got := p.code(); got != code {
		w.t.Errorf("doctor exits with %d, want %d", got, code)
	}
	var answer struct{ Checks []doctorResult }
	w.must(json.Unmarshal([]byte(p.out.String()), &answer))
	all := map[string]doctorResult{}
	for _, r := range answer.Checks {
		all[r.Name] = r
	}
	return all
}

func (w *world) found(got map[string]doctorResult, status string, names ...string) {
	w.t.Helper()
	for _, name := range names {
		if got[name].Status != status {
			w.t.Errorf("%s is %+v, want %s", name, got[name], status)
		}
	}
}

// TestDoctorOfStandalone examines the parts of one process: beside it, without it, and when another
// answers where clients come to.
func TestDoctorOfStandalone(t *testing.T) {
	w := newStandalone(t)
	delete(w.env, "CALLVAULT_PUBLIC_URL")
	p := w.standalone()
	got := w.doctor(0)
	w.found(got, "ok", "settings", "schedule", "disk", "catalog", "catalog server", "catalog rights", "catalog schema", "catalog clock", "signing keys",
		"redis", "redis server", "redis rights", "objects", "recordings bucket", "archives bucket", "workers", "hours", "public URL")
	w.found(got, "skipped", "objects clock", "links to objects", "redis memory", "outside issuer", "catalog connections")

	other := newStandalone(t)
	delete(other.env, "CALLVAULT_PUBLIC_URL")
	q := other.standalone()
	w.env["CALLVAULT_PUBLIC_URL"] = "http://" + q.serving()
	got = w.doctor(1)
	w.found(got, "fail", "public URL")
	if !strings.Contains(got["public URL"].Saw, "another callvault") {
		t.Errorf("of another installation it says %+v", got["public URL"])
	}
	delete(w.env, "CALLVAULT_PUBLIC_URL")
	q.term()
	w.clean()
	p.term()

	got = w.doctor(0)
	w.found(got, "ok", "disk", "catalog", "catalog schema", "signing keys", "objects", "recordings bucket", "archives bucket")
	w.found(got, "skipped", "redis", "workers", "public URL")
}
