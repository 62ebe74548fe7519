package dir

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"mime"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

func open(t *testing.T, dir string) *Bucket {
	t.Helper()
	return openAs(t, Config{Path: filepath.Join(dir, "bucket"), Alone: true})
}

func openAs(t *testing.T, cfg Config) *Bucket {
	t.Helper()
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
	return b
}

func put(t *testing.T, b *Bucket, key, content string) string {
	t.Helper()
	etag, err := b.Put(t.Context(), key, []byte(content), objstore.PutOptions{ContentType: "audio/ogg"})
	if err != nil {
		t.Fatalf("put %.40q: %v", key, err)
	}
	return etag
}

func wantContent(t *testing.T, b *Bucket, key, want string) {
	t.Helper()
	o, err := b.Get(t.Context(), key, objstore.GetOptions{})
	if err != nil {
		t.Errorf("get %.40q: %v", key, err)
		return
	}
	got, err := io.ReadAll(o.Body)
	if err := errors.Join(err, o.Body.Close()); err != nil || string(got) != want || *o.CRC32 != crc32.ChecksumIEEE(got) {
		t.Errorf("%.40q holds %q, want %q: %v", key, got, want, err)
	}
}

func stat(t *testing.T, b *Bucket, key string) objstore.Info {
	t.Helper()
	info, err := b.Stat(t.Context(), key)
	if err != nil {
		t.Errorf("%q: %v", key, err)
	}
	return info
}

// paths lists what lies below a folder, but for the bucket's own.
func paths(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.Name() == tempFolder {
			return fs.SkipDir
		}
		list = append(list, strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Bytes that are edited in place are a change, those that are only moved are none.
func TestBytesEditedInPlace(t *testing.T) {
	b := open(t, t.TempDir())
	first := put(t, b, "a/b.wav", "first")
	file := filepath.Join(b.cfg.Path, "a/b.wav")
	must(t, os.WriteFile(file, []byte("worse"), 0o600), os.Chtimes(file, time.Time{}, time.Now().Add(time.Second)))
	edited := stat(t, b, "a/b.wav")
	if edited.ETag == first || edited.Size != 5 || edited.ContentType != "audio/ogg" {
		t.Errorf("edited: %+v, and the ETag was %q", edited, first)
	}
	wantContent(t, b, "a/b.wav", "worse")
	if _, err := b.Get(t.Context(), "a/b.wav", objstore.GetOptions{IfMatch: first}); domain.KindOf(err) != domain.KindConflict {
		t.Errorf("get by the former ETag: %v", err)
	}
	if again := stat(t, b, "a/b.wav"); again != edited && again.ETag != edited.ETag {
		t.Errorf("once more: %+v", again)
	}
	must(t, os.WriteFile(file+"2", []byte("worse"), 0o600), os.Rename(file+"2", file)) // as a backup restores it
	if restored := stat(t, b, "a/b.wav"); restored.ETag != edited.ETag || restored.ContentType != "audio/ogg" {
		t.Errorf("restored: %+v, and the ETag was %q", restored, edited.ETag)
	}
}

// A side file that a crash has left out, or torn, is made again.
func TestSideFileIsMadeAgain(t *testing.T) {
	must(t, mime.AddExtensionType(".wav", "of/this-host"))
	b := open(t, t.TempDir())
	etag := put(t, b, "a/b.wav", "first")
	side := filepath.Join(b.cfg.Path, "a/b.wav"+infoSuffix)
	want := "audio/wav" // what is known of the name
	for _, damage := range []func() error{
		func() error { return os.Remove(side) },
		func() error { return os.WriteFile(side, nil, 0o600) },
		func() error { return os.WriteFile(side, []byte(`{"key":"a/b.w`), 0o600) },
	} {
		must(t, damage())
		for range 2 {
			info := stat(t, b, "a/b.wav")
			if info.ETag != etag || info.CRC32 == nil || *info.CRC32 != crc32.ChecksumIEEE([]byte("first")) || info.ContentType != want {
				t.Errorf("%+v, want the ETag %q", info, etag)
			}
		}
		if text, err := os.ReadFile(side); err != nil || !bytes.Contains(text, []byte(etag)) {
			t.Errorf("the side file holds %q: %v", text, err)
		}
	}
	must(t, os.MkdirAll(filepath.Join(b.cfg.Path, "by"), 0o700), os.WriteFile(filepath.Join(b.cfg.Path, "by/hand.opus"), []byte("x"), 0o600))
	wantContent(t, b, "by/hand.opus", "x")
	must(t, os.Chmod(filepath.Join(b.cfg.Path, "by/hand.opus"), 0o400), b.Remove(t.Context(), "by/hand.opus"))
}

// The side file that a writer publishes wins against one that a reader in another process makes
// meanwhile, also when the object is removed and replaced.
func TestWritersSideFileWins(t *testing.T) {
	b := open(t, t.TempDir())
	beside := openAs(t, Config{Path: b.cfg.Path})
	b.sync = func(*os.File) error { return nil } // so that more happens at once
	beside.sync = b.sync
	const key, content = "a/b", "the same bytes"
	file := filepath.Join(b.cfg.Path, key)
	for n := range 300 {
		// A side file from elsewhere, as after a backup, has the ETag that the bytes had then.
		put(t, b, key, content)
		must(t, os.WriteFile(file+"2", []byte(content), 0o600), os.Rename(file+"2", file))
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { _, _ = beside.Stat(t.Context(), key) })
		}
		var etags [3]string
		for w := range etags {
			group.Go(func() {
				b := []*Bucket{b, beside}[w%2]
				if n%2 == 0 {
					must(t, b.Remove(t.Context(), key))
				}
				etags[w] = put(t, b, key, content)
			})
		}
		group.Wait()
		if info := stat(t, b, key); info.ContentType != "audio/ogg" || !slices.Contains(etags[:], info.ETag) {
			t.Fatalf("%+v, and the writers were told %q", info, etags)
		}
	}
}

// On a disk that folds case one name leads to the other's file. Links make that so here.
func TestKeysThatADiskDoesNotTellApart(t *testing.T) {
	b := open(t, t.TempDir())
	put(t, b, "a/B", "first")
	for _, name := range []string{"a/B", "a/B" + infoSuffix} {
		must(t, os.Link(filepath.Join(b.cfg.Path, name), filepath.Join(b.cfg.Path, strings.ToLower(name))))
	}
	for _, once := range []bool{true, false} {
		_, err := b.Put(t.Context(), "a/b", []byte("second"), objstore.PutOptions{IfNoneMatch: once})
		if domain.KindOf(err) != domain.KindInvalid || !strings.Contains(err.Error(), "does not tell the key") {
			t.Errorf("put: %v", err)
		}
	}
	if _, err := b.Stat(t.Context(), "a/b"); domain.KindOf(err) != domain.KindNotFound {
		t.Errorf("stat: %v", err)
	}
	must(t, b.Remove(t.Context(), "a/b"))
	wantContent(t, b, "a/B", "first")
}

// A file without a side file is only the key's whose very name it has.
func TestExactNames(t *testing.T) {
	b := open(t, t.TempDir())
	put(t, b, "A/b", "x")
	for name, want := range map[string]bool{"A/b": true, "A/B": false} {
		if got, err := b.exact(name); got != want || err != nil {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}

// Nothing is acknowledged before the file, its side file and every new folder are on disk.
func TestAllIsSynced(t *testing.T) {
	b := open(t, t.TempDir())
	var mu sync.Mutex
	var synced []string
	b.sync = func(f *os.File) error {
		mu.Lock()
		defer mu.Unlock()
		name := strings.TrimPrefix(strings.TrimPrefix(f.Name(), b.cfg.Path), "/")
		if strings.HasPrefix(name, tempFolder) {
			name = "file"
		}
		synced = append(synced, name)
		return f.Sync()
	}
	want := func(what string, names ...string) {
		t.Helper()
		slices.Sort(synced)
		slices.Sort(names)
		if !slices.Equal(synced, names) {
			t.Errorf("%s: synced %q, want %q", what, synced, names)
		}
		synced = nil
	}
	put(t, b, "a/b/c", "x")
	want("new folders", "file", "file", "a/b", "a", ".")
	put(t, b, "a/b/d", "x") // another process may have made them, and not have synced them yet
	want("folders that are there", "file", "file", "a/b", "a", ".")
	id, err := b.NewUpload(t.Context(), "a/e/f", objstore.UploadOptions{PartSize: 10})
	must(t, err)
	part, err := b.PutPart(t.Context(), "a/e/f", id, 1, []byte("x"), crc32.ChecksumIEEE([]byte("x")))
	must(t, err)
	_, err = b.Complete(t.Context(), "a/e/f", id, []objstore.Part{part}, objstore.CompleteOptions{IfNoneMatch: true})
	must(t, err)
	want("an upload", "file", "file", "a/e", "a", ".")
	must(t, b.Remove(t.Context(), "a/e/f"))
	want("a removal", "a/e")
	must(t, b.Remove(t.Context(), "a/b/none"))
	want("a removal of what another one has removed", "a/b")
	put(t, b, "a/e/f", "x")
	want("a folder that was removed", "file", "file", "a/e", "a", ".")
	if _, err := b.Put(t.Context(), "a/e/f", nil, objstore.PutOptions{IfNoneMatch: true}); domain.KindOf(err) != domain.KindConflict {
		t.Error(err)
	}
	want("a conflict, for what stands", "file", "file", "a/e/f", "a/e", "a", ".")
	other := openAs(t, Config{Path: b.cfg.Path})
	other.sync = b.sync
	must(t, other.Sync("a/e/f"))
	want("what another process has written", "a/e/f", "a/e", "a", ".")
	b.sync = func(*os.File) error { return syscall.EIO }
	if _, err := b.Put(t.Context(), "g", nil, objstore.PutOptions{}); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("without a disk: %v", err)
	}
}

// A start removes what processes that are gone have left, and nothing of those that run.
func TestUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	id, err := b.NewUpload(t.Context(), "a", objstore.UploadOptions{PartSize: 10})
	must(t, err)
	left := filepath.Join(b.cfg.Path, tempFolder, "LEFT")
	must(t, os.WriteFile(left, []byte("x"), 0o600))
	openAs(t, Config{Path: b.cfg.Path})
	if _, err := os.Stat(left); err != nil {
		t.Error("a command beside has removed it: ", err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is still there: ", err)
	}
	part, err := b.PutPart(t.Context(), "a", id, 1, []byte("x"), crc32.ChecksumIEEE([]byte("x")))
	must(t, err)
	if _, err := b.Complete(t.Context(), "a", id, []objstore.Part{part}, objstore.CompleteOptions{}); err != nil {
		t.Error("a running upload was harmed: ", err)
	}
	must(t, b.Close())
	if entries, err := os.ReadDir(filepath.Join(b.cfg.Path, tempFolder)); err != nil || len(entries) != 0 {
		t.Errorf("%v are left: %v", entries, err)
	}
}

// What others have put beside the unfinished files stays, and no start waits for it.
func TestOddThingsAmongUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	temps := filepath.Join(dir, "bucket", tempFolder)
	must(t, os.MkdirAll(filepath.Join(temps, "folder", "file"), 0o700), syscall.Mkfifo(filepath.Join(temps, "pipe"), 0o600),
		os.Symlink("pipe", filepath.Join(temps, "link")))
	put(t, open(t, dir), "a", "x")
	if entries, err := os.ReadDir(temps); err != nil || len(entries) != 3 {
		t.Errorf("%v are left: %v", entries, err)
	}
}

// Writers make folders that removals take away, and none of what they write is lost.
func TestFoldersComeAndGo(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	beside := openAs(t, Config{Path: b.cfg.Path})
	b.sync = func(*os.File) error { return nil } // so that more happens at once
	beside.sync = b.sync
	var group sync.WaitGroup
	for w := range 8 {
		b := []*Bucket{b, beside}[w%2]
		group.Go(func() {
			for n := range 40 {
				key := fmt.Sprintf("x/y/%d/%d", n%2, w)
				if _, err := b.Put(t.Context(), key, []byte(key), objstore.PutOptions{IfNoneMatch: true}); err != nil {
					t.Errorf("put %s: %v", key, err)
				}
				if err := b.Remove(t.Context(), key); err != nil {
					t.Errorf("remove %s: %v", key, err)
				}
			}
		})
	}
	group.Wait()
	if left := paths(t, b.cfg.Path); len(left) != 1 {
		t.Errorf("%v are left", left)
	}
	must(t, os.Mkdir(filepath.Join(b.cfg.Path, "x"), 0o700))
	put(t, b, "x", "a file where an empty folder was")
	wantContent(t, b, "x", "a file where an empty folder was")
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, cfg := range []Config{{Path: file, Alone: true}, {Path: file + "2"}} {
		if _, err := Open(cfg); domain.KindOf(err) != domain.KindUnavailable {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	b := open(t, t.TempDir())
	must(t, b.Check(t.Context()), os.Rename(b.cfg.Path, b.cfg.Path+"2"))
	if err := b.Check(t.Context()); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("a folder that is gone: %v", err)
	}
}

// A bucket whose folder, or whose folder of unfinished files, was removed is an outage: its objects
// are not said to be missing.
func TestBucketThatIsGone(t *testing.T) {
	for _, removed := range []string{"", tempFolder} {
		b := open(t, t.TempDir())
		put(t, b, "a/b", "x")
		must(t, b.Check(t.Context()), os.RemoveAll(filepath.Join(b.cfg.Path, removed)))
		_, get := b.Get(t.Context(), "a/none", objstore.GetOptions{})
		_, stat := b.Stat(t.Context(), "a/none")
		_, put := b.Put(t.Context(), "c", nil, objstore.PutOptions{})
		_, begin := b.NewUpload(t.Context(), "c", objstore.UploadOptions{PartSize: 10})
		for _, err := range []error{get, stat, put, begin, b.Check(t.Context())} {
			if domain.KindOf(err) != domain.KindUnavailable || objstore.Denied(err) || !strings.Contains(err.Error(), filepath.Join(b.cfg.Path, tempFolder)+" is gone") {
				t.Errorf("without %q: %v", removed, err)
			}
		}
	}
}

// A link that leads out of the bucket is not followed. That is one object that can't be read, and
// the operator is told what to do.
func TestLinkOutOfTheBucket(t *testing.T) {
	b := open(t, t.TempDir())
	put(t, b, "a/b", "x")
	elsewhere := filepath.Join(t.TempDir(), "b")
	must(t, os.Rename(filepath.Join(b.cfg.Path, "a/b"), elsewhere), os.Symlink(elsewhere, filepath.Join(b.cfg.Path, "a/b")))
	_, get := b.Get(t.Context(), "a/b", objstore.GetOptions{})
	_, put := b.Put(t.Context(), "a/b", nil, objstore.PutOptions{IfNoneMatch: true})
	for _, err := range []error{get, put} {
		if !objstore.Denied(err) || !strings.Contains(err.Error(), "out of the bucket") || objstore.Advice(err) == "" {
			t.Errorf("%v, with the advice %q", err, objstore.Advice(err))
		}
	}
}

// A file that may not be read is denied alone, as one of S3's can be; a full disk is an outage.
func TestFailures(t *testing.T) {
	b := open(t, t.TempDir())
	fail := func(err error) error { return b.failure(t.Context(), call{"get", "read", "a"}, err) }
	if err := fail(&fs.PathError{Err: syscall.EACCES}); !objstore.Denied(err) || domain.KindOf(err) != domain.KindUnavailable || objstore.Advice(err) == "" {
		t.Error(err)
	}
	if err := fail(syscall.ENOSPC); objstore.Refused(err) || domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(domain.SafeMessage(err), "full") {
		t.Error(err)
	}
}
