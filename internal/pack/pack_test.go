package pack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/client/dayseal"
	verify "github.com/callvault/callvault/client/evidence"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/dir"
	"github.com/callvault/callvault/internal/pack"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// fixture is an installation with a tenant.
type fixture struct {
	*testing.T
	c      *catalog.Catalog
	bucket *dir.Bucket
	origin string
	day    domain.Day
}

func newFixture(t *testing.T, url string) *fixture {
	t.Helper()
	f := &fixture{T: t, c: catalogtest.Open(t, url)}
	var err error
	f.bucket, err = dir.Open(dir.Config{Path: t.TempDir(), Alone: true})
	f.must(err)
	t.Cleanup(func() { f.must(f.bucket.Close()) })
	id, err := f.c.EnsureInstallation(t.Context())
	f.must(err)
	f.origin = evidence.Origin(id)
	_, err = auth.EnsureLogKeys(t.Context(), f.c, "", f.origin, audit.Origin{Actor: "command"})
	f.must(err)
	for _, tenant := range []string{"acme", "other"} {
		settings := domain.NewTenant(tenant, 3)
		settings.Recordings = true
		_, err = f.c.CreateTenant(t.Context(), settings, audit.Origin{Actor: "test"})
		f.must(err)
	}
	at, err := f.c.Now(t.Context())
	f.must(err)
	f.day = domain.DayOf(at).Add(-1)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) keys(ctx context.Context) (evidence.Keys, error) {
	return auth.OpenLogKeys(ctx, f.c, "", f.origin)
}

func (f *fixture) seal(ctx context.Context) error {
	return evidence.NewSealer(evidence.Config{Prefix: "callvault"}, f.c.Merkle(), f.bucket, f.keys, zap.NewNop()).Pass(ctx)
}

// lines appends lines of both tenants to the audit log.
func (f *fixture) lines(n int) {
	f.Helper()
	for i := range n {
		f.must(f.c.AppendAudit(f.Context(), audit.Origin{Actor: "key:k"}, []string{"acme", "other"}[i%2], "test", map[string]any{"i": i, "text": "<é\n>"}))
	}
}

// sink keeps a ZIP in memory.
type sink struct{ zip []byte }

func (s *sink) Begin(_ context.Context, size, _ int64, _ int) error {
	s.zip = make([]byte, size)
	return nil
}

func (s *sink) Part(_ context.Context, _ int, data []byte, _ uint32) error {
	copy(s.zip, data)
	return nil
}

// register registers a recording of an hour of the fixture's day.
func (f *fixture) register(hour int) domain.Recording {
	f.Helper()
	size := int64(5)
	r := domain.Recording{
		ObjectKey: fmt.Sprintf("k/%d.opus", hour), ConversationID: "c-1", SessionID: "s-1", MessageID: 1, Type: "agent_tts",
		Timestamp: f.day.Start().Add(time.Duration(hour) * time.Hour), Size: &size,
	}
	_, err := f.c.Register(f.Context(), "acme", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: r}}})
	f.must(err)
	return r
}

// archive builds and publishes the archive of an hour of the fixture's day.
func (f *fixture) archive(hour int) {
	f.Helper()
	r, ctx, size := f.register(hour), f.Context(), int64(5)
	key, at := domain.HourKey{Tenant: "acme", Day: f.day, Hour: hour}, r.Timestamp
	_, err := f.c.PlanDay(ctx, "acme", f.day)
	f.must(err)
	claim, ok, err := f.c.Claim(ctx, key, "worker")
	if f.must(err); !ok {
		f.Fatal("the hour is not due")
	}
	in, err := f.c.BuildInput(ctx, claim)
	f.must(err)
	f.must(f.c.StartArchive(ctx, claim))
	out := &sink{}
	entry := archiver.Entry{Key: r.ObjectKey, ExternalConversationID: "c-1", SessionID: "s-1", MessageID: 1, Type: "agent_tts", Timestamp: at, Size: size}
	built, err := archiver.Build(ctx, archiver.Config{}, archiver.Hour{Day: string(f.day), Hour: hour, GeneratedAt: at}, []archiver.Entry{entry},
		func(context.Context, archiver.Entry, int64, int64, string) (archiver.Object, error) {
			return archiver.Object{Body: io.NopCloser(strings.NewReader("audio")), Size: size}, nil
		}, out)
	f.must(err)
	etag, err := f.bucket.Put(ctx, claim.ObjectKey(), out.zip, objstore.PutOptions{})
	f.must(err)
	f.must(f.c.Commit(ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Size: built.Size, Files: 1, Sessions: built.Sessions, ManifestSHA256: built.ManifestSHA256, ETag: etag}))
}

func (f *fixture) pack(out string, archives bool) verify.Manifest {
	f.Helper()
	keys, err := f.keys(f.Context())
	f.must(err)
	m, err := pack.Write(f.Context(), pack.Config{
		Tenant: "acme", From: f.day.Add(-1), To: f.day.Add(1), Out: out, Archives: archives, Origin: audit.Origin{Actor: "command"}, Seal: f.seal, Keys: keys,
	}, f.c, f.bucket)
	f.must(err)
	return m
}

// verify checks a pack by the log's present keys.
func (f *fixture) verify(path string) verify.Report {
	f.Helper()
	keys, err := f.keys(f.Context())
	f.must(err)
	public, err := dayseal.ParseKeys([]byte(strings.Join(keys.Verifiers, "\n")))
	f.must(err)
	r, err := verify.Verify(f.Context(), path, public)
	f.must(err)
	return r
}

func TestPack(t *testing.T) {
	for name, url := range map[string]string{"postgres": catalogtest.Postgres(t), "sqlite": "sqlite://" + filepath.Join(t.TempDir(), "c.db")} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, url)
			f.lines(1300)
			f.archive(14)
			for _, row := range []string{`totals (tenant, day, hour, recordings, set_us) VALUES ('acme', '` + string(f.day) + `', -1, 7, 0), ('acme', '` + string(f.day) + `', 7, 7, 0)`,
				`erasures (id, tenant, state, reason, asked_by, asked_us, counts) VALUES ('er_1', 'acme', 'asked', 'r', 'admin', 0, '{"days":1}')`} {
				_, err := f.c.DB().ExecContext(t.Context(), "INSERT INTO "+row)
				f.must(err)
			}
			out := filepath.Join(t.TempDir(), "packs", "acme")
			m := f.pack(out, true)
			for name, want := range map[string]string{"totals": `"hour":"07","recordings":7,`, "archives": `"hour":"14",`, "erasures": `"counts":{"days":1},"proof":null}`} {
				if text, err := os.ReadFile(filepath.Join(out, name+".ndjson")); err != nil || !strings.Contains(string(text), want) {
					t.Errorf("%s: %s, %v; want %s", name, text, err, want)
				}
			}
			r := f.verify(out)
			if !r.OK() || !r.Proven || r.Lines < 650 || r.Seals != 1 || r.Archives != 1 || r.LogSize < 1300 || r.Files != len(m.Files) || m.Unplaced != 0 {
				t.Fatalf("report %+v of the manifest %+v", r, m)
			}
			if _, err := os.Stat(filepath.Join(out, "archives", string(f.day), "14-1.zip")); err != nil {
				t.Error(err)
			}
			again := filepath.Join(t.TempDir(), "again")
			f.pack(again, true)
			if r := f.verify(again); !r.OK() || r.Lines <= 650 {
				t.Errorf("a second pack: %+v", r)
			}
			keys, err := f.keys(t.Context())
			f.must(err)
			_, err = pack.Write(t.Context(), pack.Config{Tenant: "acme", From: f.day, To: f.day, Out: out, Seal: f.seal, Keys: keys}, f.c, f.bucket)
			if domain.KindOf(err) != domain.KindConflict {
				t.Errorf("into a directory that exists: %v", err)
			}
			left, err := os.ReadDir(filepath.Dir(out))
			if f.must(err); len(left) != 1 {
				t.Errorf("files are left behind: %v", left)
			}
		})
	}
}

// A flipped bit in any byte of a checkpoint is found, also in a signature by a key that the reader
// does not have.
func TestFlippedCheckpoint(t *testing.T) {
	f := newFixture(t, "sqlite://"+filepath.Join(t.TempDir(), "c.db"))
	public, err := auth.RotateLogKey(t.Context(), f.c, "", f.origin, audit.Origin{Actor: "command"})
	f.must(err)
	dir := t.TempDir() + "/pack"
	f.pack(dir, false)
	path := filepath.Join(dir, "checkpoint.txt")
	whole, err := os.ReadFile(path)
	f.must(err)
	key, err := dayseal.ParseKeys([]byte(public))
	f.must(err)
	for _, keys := range []dayseal.Keys{key, nil} {
		r, err := verify.Verify(t.Context(), dir, keys)
		if f.must(err); !r.OK() || r.Proven != (keys != nil) {
			t.Fatalf("report %+v", r)
		}
		for i := range whole {
			for bit := range 8 {
				if bit != i%8 && i < len(whole)-4 { // of the end all bits: Base64 has some there that stand for nothing
					continue
				}
				text := bytes.Clone(whole)
				text[i] ^= 1 << bit
				f.must(os.WriteFile(path, text, 0o600))
				if r, err := verify.Verify(t.Context(), dir, keys); err != nil || r.OK() {
					t.Errorf("bit %d of byte %d (%q) is not found, keys %t, error %v", bit, i, text[max(0, i-20):i+1], keys != nil, err)
				}
			}
		}
		f.must(os.WriteFile(path, whole, 0o600))
	}
}

// While an hour is pending its day has no seal, and the archives of the others are no fault.
func TestUnsealedArchive(t *testing.T) {
	f := newFixture(t, "sqlite://"+filepath.Join(t.TempDir(), "c.db"))
	f.register(16)
	f.archive(14)
	out := t.TempDir() + "/pack"
	f.pack(out, true)
	if r := f.verify(out); !r.OK() || !r.Proven || r.Seals != 0 || r.Unsealed != 1 {
		t.Errorf("report %+v", r)
	}
}

// change changes a file of a pack.
func change(name string, to func(text string) string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(path, []byte(to(string(text))), 0o600))
	}
}

// resum makes the manifest name the files as they are now.
func resum(dir string) error {
	return change("manifest.json", func(text string) string {
		var m verify.Manifest
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return err.Error()
		}
		for i := range m.Files {
			body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(m.Files[i].Name)))
			if err != nil {
				return err.Error()
			}
			sum := sha256.Sum256(body)
			m.Files[i].SHA256, m.Files[i].Bytes = hex.EncodeToString(sum[:]), int64(len(body))
			if strings.HasSuffix(m.Files[i].Name, ".ndjson") {
				m.Files[i].Lines = int64(bytes.Count(body, []byte("\n")))
			}
		}
		out, err := json.MarshalIndent(m, "", "  ")
		if err != nil {
			return err.Error()
		}
		return string(out) + "\n"
	})(dir)
}

// renumber gives lines their numbers anew.
func renumber(text string) string {
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		_, rest, _ := strings.Cut(line, ",")
		fmt.Fprintf(&out, "{\"n\":%d,%s\n", i+1, rest)
	}
	return out.String()
}

// drop leaves out a line, counted from 0.
func drop(n int) func(string) string {
	return func(text string) string {
		lines := strings.SplitAfter(text, "\n")
		return strings.Join(append(lines[:n:n], lines[n+1:]...), "")
	}
}

func TestChangedPacks(t *testing.T) {
	f := newFixture(t, "sqlite://"+filepath.Join(t.TempDir(), "c.db"))
	f.lines(700)
	f.archive(14)
	whole := filepath.Join(t.TempDir(), "whole")
	f.pack(whole, true)
	zip := "archives/" + string(f.day) + "/14-1.zip"
	both := func(list ...func(string) error) func(string) error {
		return func(dir string) error {
			for _, do := range list {
				if err := do(dir); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"a changed line":      {change("lines.ndjson", func(s string) string { return strings.Replace(s, `"actor":"key:k"`, `"actor":"key:x"`, 1) }), `"lines.ndjson" line 2: It was changed: it is not what stands in the log`},
		"a changed salt":      {change("lines.ndjson", func(s string) string { return strings.Replace(s, `"salt":"`, `"salt":"0`, 1) }), `"lines.ndjson" line 1: It was changed`},
		"a dropped line":      {change("lines.ndjson", drop(9)), `"lines.ndjson" line 10: Line 10 of the pack is missing before it.`},
		"a dropped last line": {change("lines.ndjson", func(s string) string { return s[:strings.LastIndexByte(s[:len(s)-1], '\n')+1] }), `"lines.ndjson": It has`},
		"a doubled line":      {change("lines.ndjson", func(s string) string { i := strings.IndexByte(s, '\n') + 1; return s[:i] + s }), `"lines.ndjson" line 2: It is line 1 of the pack, which stands there twice or was moved.`},
		"swapped lines": {change("lines.ndjson", func(s string) string {
			l := strings.SplitAfter(s, "\n")
			l[4], l[5] = l[5], l[4]
			return strings.Join(l, "")
		}), `"lines.ndjson" line 6: It is line 5 of the pack`},
		"sums made anew": {both(change("lines.ndjson", func(s string) string { return renumber(drop(9)(s)) }), resum), `"manifest.json": It is not the manifest that the pack was made with`},
		"swapped and numbered": {both(change("lines.ndjson", func(s string) string {
			l := strings.SplitAfter(s, "\n")
			l[4], l[5] = l[5], l[4]
			return renumber(strings.Join(l, ""))
		}), resum), `"lines.ndjson" line 6: It stands behind a later line, or twice.`},
		"a changed seal":                           {change("seals.ndjson", func(s string) string { return strings.Replace(s, `\"noDataHours\":23`, `\"noDataHours\":22`, 1) }), `"seals.ndjson" line 1: The seal: `},
		"a changed seal's salt":                    {change("seals.ndjson", func(s string) string { return strings.Replace(s, `\"totalSessions\":1`, `\"totalSessions\":2`, 1) }), `"seals.ndjson" line 1: It was changed`},
		"a changed table":                          {change("holds.ndjson", func(s string) string { return s + "{}\n" }), `"holds.ndjson": It has 1 line;`},
		"a changed archive":                        {change(zip, func(s string) string { return strings.Replace(s, "audio", "avdio", 1) }), `they are damaged`},
		"a file that is gone":                      {func(dir string) error { return os.Remove(filepath.Join(dir, "totals.ndjson")) }, `"totals.ndjson": It cannot be read`},
		"exchanged keys of the log":                {change("log-keys.txt", func(string) string { return "callvault/x+00000000+AAAA\n" }), `"log-keys.txt": It`},
		"a bit of a key's name in the pack's line": {change("export.json", func(s string) string { return strings.Replace(s, `"leaf"`, `"Leaf"`, 1) }), `"export.json": It was changed`},
		"the number of the pack's line":            {change("export.json", func(s string) string { return strings.Replace(s, `"n":1,`, `"n":9,`, 1) }), `"export.json": It was changed`},
		"a file more":                              {func(dir string) error { return os.WriteFile(filepath.Join(dir, "x"), nil, 0o600) }, `"x": It is no file of the pack.`},
		"a changed tile":                           {change("tile/0/000", func(s string) string { return "x" + s[1:] }), `What proves leaf`},
		"no tiles":                                 {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "tile")) }, `What proves leaf`},
		"a changed checkpoint":                     {change("checkpoint.txt", func(s string) string { return strings.Replace(s, "\n7", "\n8", 1) }), `"checkpoint.txt": It is no checkpoint of the log`},
		"another tenant":                           {both(change("manifest.json", func(s string) string { return strings.Replace(s, `"acme"`, `"other"`, 1) })), `"export.json": It is not the audit line of a pack of "other".`},
		"a line that is no JSON":                   {change("lines.ndjson", func(s string) string { return "{\n" + s }), `"lines.ndjson" line 1: It is no line of a pack`},
		"a link in it": {func(dir string) error {
			return errors.Join(os.Remove(dir+"/holds.ndjson"), os.Symlink("/etc/passwd", dir+"/holds.ndjson"))
		}, `"holds.ndjson": It cannot be read`},
	} {
		dir := filepath.Join(t.TempDir(), "pack")
		f.must(os.CopyFS(dir, os.DirFS(whole)))
		f.must(tc.spoil(dir))
		r := f.verify(dir)
		found := []string{}
		for _, p := range r.Problems {
			found = append(found, p.String())
		}
		if text := strings.Join(found, "\n"); r.OK() || !strings.Contains(text, tc.want) {
			t.Errorf("%s: want %q, found\n%.2000s", name, tc.want, text)
		}
	}
	if r := f.verify(whole); !r.OK() {
		t.Errorf("the pack itself: %+v", r)
	}
	r, err := verify.Verify(t.Context(), whole, nil)
	if f.must(err); !r.OK() || r.Proven {
		t.Errorf("without keys: %+v", r)
	}
}
