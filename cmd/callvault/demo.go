package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/telemetry"
)

// demoCmd shows callvault with a sample tenant.
type demoCmd struct {
	Keep   bool   `help:"Leave the server up afterwards, until Ctrl-C."`
	Listen string `help:"Address to listen on." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
}

func (*demoCmd) Help() string {
	return "Needs no other service and leaves nothing behind: a sample tenant with a day of spoken clips, last night's archives, the day's links " +
		"over HTTP, every download verified.\n\nExamples:\n\n    callvault demo\n    callvault demo --keep"
}

func (c *demoCmd) Run(ctx context.Context, d *deps) (err error) {
	dir, err := os.MkdirTemp("", "callvault-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg, err := d.settings.Complete(config.Parts{Data: filepath.Join(dir, "data"), Recordings: "recordings", Archives: "archives",
		Prefix: domain.DefaultArchivesPrefix, LogLevel: "error"})
	if err != nil {
		return err
	}
	// The environment may have settings of a real installation, but the demo has its own parts.
	cfg.Listen, cfg.PublicURL, cfg.AdminListen, cfg.DownloadMode, cfg.OIDCIssuer, cfg.OIDCAudience = c.Listen, "", "", "", "", ""
	cfg.AdminToken, cfg.AdminReadOnly = config.Secret(rand.Text()), false
	if host, port, err := net.SplitHostPort(c.Listen); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) && port != "0" {
		cfg.PublicURL = "http://localhost:" + port // only this host calls the demo
	}
	if err := d.settings.Finish(&cfg, config.Standalone()); err != nil {
		return err
	}
	log, err := telemetry.NewLogger("error", d.stderr, console.IsTerminal(d.stderr))
	if err != nil {
		return err
	}
	defer telemetry.TakeStandardLog(log)()
	return app.ServeWhile(ctx, cfg, log, func(ctx context.Context, s app.Serving) error {
		show := &demoRun{d: d, dir: dir, kept: c.Keep, url: s.Parts.Config.PublicURL, parts: s.Parts, log: log}
		if err := show.run(ctx); err != nil {
			return err
		}
		if c.Keep {
			return show.serveUntilStopped(ctx)
		}
		return show.printNextSteps()
	})
}

// demoRun is one run of the demo.
type demoRun struct {
	d      *deps
	dir    string
	kept   bool // the directory stays until Ctrl-C
	url    string
	parts  *app.Parts
	log    *zap.Logger
	sample *demoSample
	day    domain.Day
	app    catalog.Application
	secret string

	taken, late, missing int // recordings
}

// The published test keys. They exist in demo data only.
const (
	demoAPIKey      = "test-api-key-123"
	otherDemoAPIKey = "demo-api-key-456"
)

func (s *demoRun) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.prepare, s.buildArchives, s.importLate, s.printHours, s.fetch} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *demoRun) say(format string, args ...any) error {
	_, err := fmt.Fprintf(s.d.stdout, format+"\n", args...)
	return err
}

// prepare makes the tenant and its credentials, and imports the sample's day.
func (s *demoRun) prepare(ctx context.Context) error {
	now, err := s.parts.Catalog.Now(ctx)
	if err != nil {
		return err
	}
	s.day = domain.DayOf(now).Add(-1)
	if s.sample, err = newDemoSample(s.day); err != nil {
		return err
	}
	cat := s.parts.Catalog
	t := domain.NewTenant(s.sample.TenantID, s.parts.Config.RetentionDays)
	t.Name, t.Recordings, t.Export = s.sample.TenantName, true, true
	if _, err := cat.CreateTenant(ctx, t, commandOrigin()); err != nil {
		return err
	}
	if s.app, s.secret, err = cat.CreateApplication(ctx, s.sample.TenantID, "demo", auth.Scopes(), commandOrigin()); err != nil {
		return err
	}
	for _, key := range []string{demoAPIKey, otherDemoAPIKey} {
		if _, err := cat.PutAPIKey(ctx, s.sample.TenantID, "demo", key, commandOrigin()); err != nil {
			return err
		}
	}
	audio := filepath.Join(s.dir, "audio")
	for key, content := range s.sample.Audio {
		path := filepath.Join(audio, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	r, err := s.importLines(ctx, s.sample.Lines)
	if err != nil {
		return err
	}
	s.taken = r.Recordings
	return s.say("Took in yesterday (%s) of %s: %d conversations, %d messages, %d recordings as Opus clips.",
		s.day, s.sample.TenantName, r.Conversations, r.Messages, r.Recordings)
}

func (s *demoRun) importLines(ctx context.Context, lines []byte) (ingest.Result, error) {
	to := &ingest.AudioDir{Dir: filepath.Join(s.dir, "audio"), Catalog: s.parts.Catalog, Bucket: s.parts.Recordings}
	return ingest.Load(ctx, ingest.WithOrigin(commandOrigin(), to), s.sample.TenantID, bytes.NewReader(lines), nil)
}

// buildArchives plans yesterday and waits for its archives.
func (s *demoRun) buildArchives(ctx context.Context) error {
	due, err := s.archive(ctx)
	if err != nil {
		return err
	}
	return s.say("Ran last night's plan: %s with recordings archived, the others have no data.", count(due, "hour"))
}

// archive makes the day's hours due and waits for them. If the queue does not answer at first, the
// wait enqueues them later.
func (s *demoRun) archive(ctx context.Context) (due int, err error) {
	r := catalog.RebuildRequest{Tenant: s.sample.TenantID, Day: s.day, Hour: -1, Origin: commandOrigin()}
	if due, err = s.parts.Planner(s.log).Archive(ctx, r); err != nil && domain.KindOf(err) != domain.KindUnavailable {
		return due, err
	}
	_, err = waitForDay(ctx, s.parts, s.sample.TenantID, s.day, -1, time.Now(), nil)
	return due, err
}

// importLate imports one recording after the archives were built.
func (s *demoRun) importLate(ctx context.Context) error {
	r, err := s.importLines(ctx, s.sample.Late)
	if err != nil {
		return err
	}
	s.late = r.Recordings
	if _, err := s.archive(ctx); err != nil {
		return err
	}
	return s.say("One recording came late (%s): its hour was rebuilt as revision 2.", filepath.Base(s.sample.LateKey))
}

// printHours prints the 24 hours.
func (s *demoRun) printHours(ctx context.Context) error {
	v, err := s.parts.Catalog.Day(ctx, s.sample.TenantID, s.day)
	if err != nil {
		return err
	}
	rows := make([][]string, 0, len(v.Hours))
	for _, h := range v.Hours {
		row := []string{fmt.Sprintf("%02d", h.Hour), h.State, "", "", "", "", ""}
		if a := h.Archive; a != nil {
			row = []string{row[0], h.State, strconv.Itoa(a.Sessions), strconv.Itoa(a.Files), bytesOf(a.Size), strconv.FormatInt(a.Revision, 10), ""}
			if a.MissingCount > 0 {
				row[6] = strconv.Itoa(a.MissingCount)
			}
			s.missing += a.MissingCount
		}
		rows = append(rows, row)
	}
	if err := s.say(""); err != nil {
		return err
	}
	if err := console.Table(s.d.stdout, []string{"HOUR", "STATE", "SESSIONS", "FILES", "SIZE", "REVISION", "MISSING"}, rows); err != nil {
		return err
	}
	return s.say("\n%d recording has vanished from the store: its hour's metadata.json says so, instead of leaving it out silently.", s.missing)
}

// fetch does what a tenant does: it gets a token and the day, and downloads and verifies every ZIP.
func (s *demoRun) fetch(ctx context.Context) error {
	// The token endpoint and the links are used as by any HTTP client.
	grant := clientcredentials.Config{ClientID: s.app.ID, ClientSecret: s.secret, TokenURL: s.url + "/connect/token", Scopes: auth.Scopes()}
	body, err := httpGet(ctx, grant.Client(ctx), s.url+"/api/external/conversations/daily-audio-recordings/"+string(s.day))
	if err != nil {
		return err
	}
	var day struct {
		TotalFiles int `json:"totalFiles"`
		Links      []struct {
			Hour string  `json:"hour"`
			URL  *string `json:"url"`
		} `json:"links"`
	}
	if err := json.Unmarshal(body, &day); err != nil {
		return err
	}
	// Print the answer as it is, but each link on its own line.
	shown := strings.ReplaceAll(strings.TrimSpace(string(body)), `{"hour"`, "\n  "+`{"hour"`)
	if err := s.say("\nGET /api/external/conversations/daily-audio-recordings/%s answers:\n%s", s.day, shown); err != nil {
		return err
	}
	if err := s.say("\nDownloads:"); err != nil {
		return err
	}
	files := 0
	for _, l := range day.Links {
		if l.URL == nil {
			continue
		}
		path := filepath.Join(s.dir, l.Hour+".zip")
		if body, err = httpGet(ctx, http.DefaultClient, *l.URL); err != nil {
			return err
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return err
		}
		v, err := verifyOne(ctx, path)
		if err != nil {
			return err
		}
		if !s.kept { // the user can't open it later
			v.Path = filepath.Base(path)
		}
		if err := v.print(s.d.stdout); err != nil {
			return err
		}
		if !v.good() {
			return fmt.Errorf("hour %s did not verify", l.Hour)
		}
		files += v.Files
	}
	if files != day.TotalFiles {
		return fmt.Errorf("the day names %d files and its archives hold %d", day.TotalFiles, files)
	}
	return s.say("All %d recordings of the day were downloaded and verified: %d taken in, and %d late, without %d that vanished.",
		files, s.taken, s.late, s.missing)
}

// printNextSteps prints what to try next.
func (s *demoRun) printNextSteps() error {
	return s.say("\nNothing is left running. Try next:\n"+
		"  %[1]s demo --keep      the same, and the server stays up: curl, console, /docs\n"+
		"  %[1]s standalone       a server of your own, data in ./data\n"+
		"  %[1]s --help           all commands", program())
}

// program is the command that starts this program again.
func program() string {
	if strings.Contains(os.Args[0], "go-build") { // go run has built it
		return "go run ./cmd/callvault"
	}
	return os.Args[0]
}

// serveUntilStopped prints examples and waits for Ctrl-C.
func (s *demoRun) serveUntilStopped(ctx context.Context) error {
	err := s.say("\nThe server stays at %s until Ctrl-C. For example:\n\n"+
		"  TOKEN=$(curl -sS --fail-with-body %s/connect/token -u %s:%s -d grant_type=client_credentials -d scope=dataservice_external | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')\n"+
		"  curl -s %s/api/external/conversations/daily-audio-recordings/%s -H \"Authorization: Bearer $TOKEN\"\n"+
		"  curl -s %s/conversations -H 'x-api-key: %s'\n\n"+
		"In a browser: every API to try at %s/docs, the operators' console at %s/admin with the token %s",
		s.url, s.url, s.app.ID, s.secret, s.url, s.day, s.url, demoAPIKey, s.url, s.url, s.parts.Config.AdminToken.Reveal())
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// demoTimeout bounds one request of the demo.
const demoTimeout = time.Minute

func httpGet(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s answered %s", req.URL.Path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}
