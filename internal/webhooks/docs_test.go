package webhooks_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog/outbox"
)

// example returns the only block of a language in docs/webhooks.md.
func example(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```"+language+"\n")
	block, _, ended := strings.Cut(rest, "\n```")
	if !found || !ended {
		t.Fatalf("the page has no example in %s", language)
	}
	return block
}

// TestExamples runs the page's examples on a real delivery, and on changed ones.
func TestExamples(t *testing.T) {
	f := newFixture(t, "sqlite://"+t.TempDir()+"/catalog.db")
	r := newReceiver(t, nil)
	_, secret := f.tenant("acme", r.URL)
	f.deliverer(f.catalog, nil)
	f.events("acme", 1)
	f.untilState("acme", outbox.DeliveryDelivered, 1)
	got := r.all()[0]
	for name, c := range map[string]struct {
		program, file, code string
	}{
		"python": {"python3", "verify.py", example(t, "python") + `
import os
h = {k: os.environ[k.upper().replace("-", "_")] for k in ("webhook-id", "webhook-timestamp", "webhook-signature")}
verify(os.environ["SECRET"], h, open(os.environ["BODY"], "rb").read())
`},
		"node": {"node", "verify.mjs", example(t, "js") + `
import { readFileSync } from "node:fs";
const h = {};
for (const k of ["webhook-id", "webhook-timestamp", "webhook-signature"]) h[k] = process.env[k.toUpperCase().replaceAll("-", "_")];
verify(process.env.SECRET, h, readFileSync(process.env.BODY));
`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, body := filepath.Join(dir, c.file), filepath.Join(dir, "body")
			f.must(os.WriteFile(file, []byte(c.code), 0o600))
			run := func(content []byte, stamp, signature string) (string, error) {
				f.must(os.WriteFile(body, content, 0o600))
				cmd := exec.CommandContext(t.Context(), c.program, file)
				cmd.Env = append(os.Environ(), "SECRET="+secret, "BODY="+body, "WEBHOOK_ID="+got.header.Get("webhook-id"),
					"WEBHOOK_TIMESTAMP="+stamp, "WEBHOOK_SIGNATURE="+signature)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			stamp, signature := got.header.Get("webhook-timestamp"), got.header.Get("webhook-signature")
			for what, signature := range map[string]string{"as it came": signature, "with another signature before it": "v1,AAAA " + signature} {
				if out, err := run(got.body, stamp, signature); err != nil {
					t.Errorf("%s: %v\n%s", what, err, out)
				}
			}
			if out, err := run(append([]byte(" "), got.body...), stamp, signature); err == nil || !strings.Contains(out, "not signed by callvault") {
				t.Errorf("a changed body: %v\n%s", err, out)
			}
			if out, err := run(got.body, "1700000000", signature); err == nil || !strings.Contains(out, "too old") {
				t.Errorf("an old one: %v\n%s", err, out)
			}
		})
	}
}
