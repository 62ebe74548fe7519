package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/archiver"
)

// memory is a sink in memory.
type memory struct {
	zip  []byte
	part int64
}

func (m *memory) Begin(_ context.Context, size, partSize int64, _ int) error {
	m.zip, m.part = make([]byte, size), partSize
	return nil
}

func (m *memory) Part(_ context.Context, number int, data []byte, _ uint32) error {
	copy(m.zip[int64(number-1)*m.part:], data)
	return nil
}

// archive makes an hour's ZIP with recordings whose bytes are their key.
func archive(t *testing.T, keys ...string) []byte {
	t.Helper()
	at := time.Date(2025, 12, 12, 14, 0, 0, 0, time.UTC)
	var entries []archiver.Entry
	for i, key := range keys {
		entries = append(entries, archiver.Entry{
			Key: key, ExternalConversationID: "conv-123", SessionID: "session-456", MessageID: int64(i), Type: "user",
			Size: int64(len(key)), Timestamp: at.Add(time.Duration(i) * time.Second),
		})
	}
	open := func(_ context.Context, e archiver.Entry, from, n int64, _ string) (archiver.Object, error) {
		if strings.HasPrefix(e.Key, "gone") {
			return archiver.Object{}, archiver.ErrVanished
		}
		return archiver.Object{Body: io.NopCloser(strings.NewReader(e.Key[from : from+n])), Size: int64(len(e.Key)), ETag: "1"}, nil
	}
	var m memory
	hour := archiver.Hour{Day: "2025-12-12", Hour: 14, GeneratedAt: at.AddDate(0, 0, 1)}
	if _, err := archiver.Build(t.Context(), archiver.Config{}, hour, entries, open, &m); err != nil {
		t.Fatal(err)
	}
	return m.zip
}

func save(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyGoodArchives(t *testing.T) {
	dir := t.TempDir()
	path := save(t, dir, "a.zip", archive(t, "k/one.opus", "k/two.opus", "gone.opus"))
	code, out, errs := callvault(t, nil, "verify", path)
	want := "ok      " + path + "  2025-12-12 hour 14, 2 recordings, 1 session, 20 B; 1 recording declared missing\n" +
		"the archive is as it should be; whether hours are missing beside 1 archive was not checked, only the day.json of callvault pull says so\n"
	if code != exitOK || out != want || errs != "" {
		t.Errorf("exit %d, printed %q and %q; want %q", code, out, errs, want)
	}
	save(t, dir, "b.ZIP", archive(t, "k/three.opus"))
	code, out, _ = callvault(t, nil, "verify", dir)
	if code != exitOK || strings.Count(out, "ok      ") != 2 || !strings.HasSuffix(out, "\n2 archives, all as they should be; whether hours are missing beside 2 archives was not checked, only the day.json of callvault pull says so\n") {
		t.Errorf("exit %d, printed %q", code, out)
	}
	// Two paths, as from *.zip in a shell.
	code, out, errs = callvault(t, nil, "verify", path, filepath.Join(dir, "b.ZIP"))
	if code != exitOK || strings.Count(out, "ok      ") != 2 || errs != "" {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	good := archive(t, "k/one.opus")
	broken := []byte(strings.Replace(string(good), "k/one.opus", "k/One.opus", 1)) // in metadata.json, so that its checksum is wrong
	if string(broken) == string(good) {
		t.Fatal("nothing was broken")
	}
	save(t, dir, "1.zip", good)
	bad := save(t, dir, "2.zip", broken)
	unread := filepath.Join(dir, "3.zip")
	if err := os.Symlink(filepath.Join(dir, "absent"), unread); err != nil {
		t.Fatal(err)
	}
	code, out, errs := callvault(t, nil, "verify", dir)
	for _, want := range []string{"BROKEN  " + bad + "\n", "\"metadata.json\": ", "UNREAD  " + unread + "\n", "symbolic link", "2 of 3 archives cannot be relied on"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said:\n%s", want, out)
		}
	}
	if code != exitFailed || errs != "" {
		t.Errorf("exit %d, stderr %q; want %d and nothing", code, errs, exitFailed)
	}

	code, out, _ = callvault(t, nil, "verify", dir, "--json")
	var result struct {
		OK       bool
		Archives []fileJSON
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	var oks []bool
	for _, a := range result.Archives {
		oks = append(oks, a.OK)
		if a.OK == (len(a.Problems) > 0) {
			t.Errorf("%s: ok is %t with %d problems", a.Path, a.OK, len(a.Problems))
		}
	}
	if code != exitFailed || result.OK || fmt.Sprint(oks) != "[true false false]" {
		t.Errorf("exit %d, ok %t, archives %v", code, result.OK, oks)
	}
	if g := result.Archives[0]; g.UTCDay != "2025-12-12" || g.Hour != "14" || g.Files != 1 || len(g.ManifestSHA256) != 64 {
		t.Errorf("the good one is described as %+v", g)
	}
}

func TestVerifyHostileNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "evil.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	if _, err := w.Create("../\x1b]0;owned\x07.opus"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	code, out, _ := callvault(t, nil, "verify", path)
	if code != exitFailed || strings.ContainsAny(out, "\x1b\x07") {
		t.Errorf("exit %d, printed %q", code, out)
	}
}

// TestVerifyThroughLinks has a link to a directory: named alone it is followed, and else it is
// told.
func TestVerifyThroughLinks(t *testing.T) {
	elsewhere, dir := t.TempDir(), t.TempDir()
	save(t, elsewhere, "a.zip", archive(t, "k/one.opus"))
	linked := filepath.Join(dir, "linked")
	if err := os.Symlink(elsewhere, linked); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := callvault(t, nil, "verify", linked); code != exitOK || !strings.HasPrefix(out, "ok      "+linked+"/a.zip ") {
		t.Errorf("exit %d, printed %q", code, out)
	}
	if code, out, _ := callvault(t, nil, "verify", dir); code != exitFailed || !strings.Contains(out, "UNREAD  "+linked+"\n") {
		t.Errorf("exit %d, printed %q", code, out)
	}
}

// TestVerifyBesideWhatCannotBeRead has directories so deep that the system takes no path to them.
func TestVerifyBesideWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "z.zip", archive(t, "k/one.opus"))
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = root.MkdirAll(strings.Repeat("/"+strings.Repeat("a", 200), 25)[1:], 0o700)
	if err = errors.Join(err, root.Close()); err != nil {
		t.Fatal(err)
	}
	code, out, errs := callvault(t, nil, "verify", dir)
	if code != exitFailed || !strings.Contains(out, "ok      "+dir+"/z.zip ") || strings.Count(out, "UNREAD  ") != 1 || !strings.Contains(out, "file name too long\n") {
		t.Errorf("exit %d, printed %q and %q", code, out, errs)
	}
}

func TestVerifyNothing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "absent.zip")} {
		code, out, errs := callvault(t, nil, "verify", path)
		if code != exitFailed || out != "" || !strings.Contains(errs, path) {
			t.Errorf("exit %d, printed %q and %q", code, out, errs)
		}
	}
	if code, _, _ := callvault(t, nil, "verify"); code != exitUsage {
		t.Errorf("exit %d without a path, want %d", code, exitUsage)
	}
}

func TestVerifyIsInterrupted(t *testing.T) {
	path := save(t, t.TempDir(), "a.zip", archive(t, "k/one.opus"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // the check may end first: both outcomes are right
		var out, errs strings.Builder
		switch code := run(ctx, []string{"verify", path}, strings.NewReader(""), &out, &errs, nil); {
		case code == exitOK && strings.HasPrefix(out.String(), "ok "):
		case code == exitFailed && strings.Contains(errs.String(), "interrupted"):
		default:
			t.Fatalf("exit %d, printed %q and %q", code, out.String(), errs.String())
		}
	}
}
