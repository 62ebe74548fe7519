package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/webhooks"
)

// TestReseal changes the master key of an installation with a webhook.
func TestReseal(t *testing.T) {
	const former, printNextSteps = "a master key of a good length, for tests", "another master key of a good length, for tests"
	file := filepath.Join(t.TempDir(), "former.key")
	if err := os.WriteFile(file, []byte(former+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := config.Env{"CALLVAULT_DATA": t.TempDir(), "CALLVAULT_MASTER_KEY": former, "CALLVAULT_WEBHOOK_PRIVATE": "on"}
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := callvault(t, env, args...)
		if code != want {
			t.Fatalf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
		return out + errs
	}
	if said := run(exitOK, "migrate", "up"); !strings.Contains(said, "signing keys made: 6") || strings.Contains(said, "steps taken: 0") {
		t.Errorf("a first migration says %s", said)
	}
	run(exitOK, "tenant", "create", "acme")
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(run(exitOK, "webhook", "create", "--tenant", "acme", "--url", "http://127.0.0.1:1/", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	env["CALLVAULT_MASTER_KEY"] = printNextSteps
	if said := run(exitFailed, "keys", "rotate"); !strings.Contains(said, "CALLVAULT_MASTER_KEY does not open") {
		t.Errorf("it says %s", said)
	}
	if said := run(exitFailed, "keys", "reseal", "--former", file+".not"); !strings.Contains(said, "cannot read the former master key") {
		t.Errorf("it says %s", said)
	}
	run(exitOK, "keys", "reseal", "--former", file)
	if said := run(exitOK, "keys", "reseal", "--former", file, "--json"); !strings.Contains(said, `"secrets": 7`) {
		t.Errorf("it says %s", said)
	}
	run(exitOK, "keys", "rotate")
	env["CALLVAULT_MASTER_KEY"] = former
	run(exitFailed, "keys", "rotate")
}

// TestWebhookUnderAnotherMasterKey checks that a secret which no worker could open is refused. If
// there is one all the same, reseal says what to do.
func TestWebhookUnderAnotherMasterKey(t *testing.T) {
	const master, other = "a master key of a good length, for tests", "another master key of a good length, for tests"
	url := "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")
	c, err := catalog.Open(t.Context(), url, catalog.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := c.DB().Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.EnsureKeys(t.Context(), c, master); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	// The settings name all parts, so that no command prepares any. Webhooks need the catalog
	// alone.
	env := config.Env{"CALLVAULT_DATABASE_URL": url, "CALLVAULT_REDIS_URL": "redis://127.0.0.1:1", "CALLVAULT_S3_ENDPOINT": "http://127.0.0.1:1",
		"CALLVAULT_S3_ACCESS_KEY": "a", "CALLVAULT_S3_SECRET_KEY": "s"}
	run := func(key string, want int, args ...string) string {
		t.Helper()
		env["CALLVAULT_MASTER_KEY"] = key
		code, out, errs := callvault(t, env, args...)
		if code != want {
			t.Fatalf("%v: exit %d, printed %q and %q", args, code, out, errs)
		}
		return out + errs
	}
	create := []string{"webhook", "create", "--tenant", "acme", "--url", "https://a.example/", "--json"}
	for _, key := range []string{other, ""} {
		if said := run(key, exitFailed, create...); !strings.Contains(said, "the key that they were made with") {
			t.Errorf("with the key %q it says %s", key, said)
		}
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(run(master, exitOK, create...)), &made); err != nil {
		t.Fatal(err)
	}
	run(other, exitFailed, "webhook", "rotate", "--tenant", "acme", made.ID)
	run(master, exitOK, "webhook", "rotate", "--tenant", "acme", made.ID)

	wrong, err := auth.NewVault(other)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := wrong.Seal(webhooks.AssociatedData(made.ID), []byte("whsec_"))
	none := func(outbox.Endpoint, time.Time) (former outbox.Sealed, until time.Time) { return former, until }
	if _, err := c.RotateEndpoint(t.Context(), "acme", made.ID, outbox.Sealed{Data: data, Encrypted: true}, none, audit.Origin{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "former.key")
	if err := os.WriteFile(file, []byte(master), 0o600); err != nil {
		t.Fatal(err)
	}
	reseal := []string{"keys", "reseal", "--former", file}
	if said := run("a third master key of a good length, for tests", exitFailed, reseal...); !strings.Contains(said, made.ID) || !strings.Contains(said, "webhook rotate") {
		t.Errorf("it says %s", said)
	}
	run(master, exitOK, "webhook", "rotate", "--tenant", "acme", made.ID, "--grace", "0")
	run("a third master key of a good length, for tests", exitOK, reseal...)
}
