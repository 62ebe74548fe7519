package dir

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/callvault/callvault/internal/domain"
)

// formerObject is an object in the layout that a former version of callvault wrote.
type formerObject struct{ bucket, key, content, etag, kind string }

func formerStore() []formerObject {
	return []formerObject{
		{"recordings", "acme/c-1/small.wav", "small", "5e1359488389a84e1236cbe217ec2c6f", "audio/wav"},
		{"recordings", "acme/c-1/big.opus", "in parts", "7834b1b54dddbe0380888b0cf6880c0f-2", "audio/ogg; codecs=opus"},
		{"recordings", "acme/c-1/a%20b.opus", "a name that is encoded now", "089e2cddf7b755d65ebf53e85dcb3686", "audio/ogg"},
		{"recordings", "acme/" + strings.Repeat("x", 255), "a name that is cut now", "0123456789abcdef0123456789abcdef", "audio/ogg"},
		{"recordings", "acme/meta/etag", "named like an attribute", "00112233445566778899aabbccddeeff", "audio/ogg"},
		{"objects", "callvault/installation", `{"installation":"one"}`, "dc351e2835fbf8179be04705f2e92ba6", "application/json"},
		{"objects", "callvault/archives/acme/2026-11-29/10/1-7109.zip", "zip", "c2c2769e02b8d75cda41b2f725fcb801-2", "application/zip"},
	}
}

// makeFormer makes the directory of a former program: the attributes are on the files, or in files.
func makeFormer(t *testing.T, dir string, inFiles bool) {
	t.Helper()
	for _, o := range formerStore() {
		file := filepath.Join(dir, "objects", o.bucket, o.key)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(o.content), 0o600))
		sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(o.content)))
		for name, value := range map[string]string{
			"etag": `"` + o.etag + `"`, "content-type": o.kind,
			"checksums": fmt.Sprintf(`{"Algorithm":"CRC32","Type":"FULL_OBJECT","CRC32":%q,"CRC32C":null,"SHA1":null}`, base64.StdEncoding.EncodeToString(sum)),
		} {
			if !inFiles {
				must(t, unix.Setxattr(file, "user."+name, []byte(value), 0))
				continue
			}
			folder := filepath.Join(dir, "attributes", o.bucket, o.key, "meta")
			must(t, os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, name), []byte(value), 0o600))
		}
	}
	for _, own := range []string{"objects/.vgwlocks/ac", "objects/objects/.sgwtmp/multipart/1", "objects/recordings/.sgwtmp/multipart/2", "objects/recordings/empty"} {
		must(t, os.MkdirAll(filepath.Join(dir, own), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(dir, "objects/recordings/.sgwtmp/multipart/2/part"), []byte("x"), 0o600))
}

func wantTakenOver(t *testing.T, dir string) {
	t.Helper()
	for _, o := range formerStore() {
		b := openAs(t, Config{Path: filepath.Join(dir, o.bucket), Alone: true})
		wantContent(t, b, o.key, o.content)
		if info := stat(t, b, o.key); info.ETag != o.etag || info.ContentType != o.kind {
			t.Errorf("%.40s: %+v, want the ETag %q and the content type %q", o.key, info, o.etag, o.kind)
		}
		must(t, b.Close())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the directory holds %v: %v", entries, err)
	}
}

func TestTakeOver(t *testing.T) {
	for name, inFiles := range map[string]bool{"extended attributes": false, "attributes in files": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			makeFormer(t, dir, inFiles)
			begun := 0
			for range 2 {
				must(t, TakeOver(dir, func() { begun++ }))
				wantTakenOver(t, dir)
			}
			if begun != 1 {
				t.Errorf("it has begun %d times", begun)
			}
		})
	}
}

// TestTakeOverGoesOn ends a take-over before each change that it makes, as a kill does, and lets
// another one go on.
func TestTakeOverGoesOn(t *testing.T) {
	for stop, done := 0, false; !done; stop++ {
		dir := t.TempDir()
		makeFormer(t, dir, stop%2 == 0)
		ended, at := make(chan bool), 0
		go func() {
			whole := false
			defer func() { ended <- whole }()
			err := takeOverBy(dir, func() {
				if at++; at > stop {
					runtime.Goexit()
				}
			})
			if whole = true; err != nil {
				t.Error(err)
			}
		}()
		done = <-ended
		must(t, TakeOver(dir, func() {}))
		wantTakenOver(t, dir)
		if done && stop < 2*len(formerStore()) {
			t.Errorf("it could be ended in %d places only", stop)
		}
	}
}

func TestTakeOverRefuses(t *testing.T) {
	dir := t.TempDir()
	makeFormer(t, dir, true)
	must(t, os.MkdirAll(filepath.Join(dir, formerFolder), 0o700), os.Rename(filepath.Join(dir, "objects"), filepath.Join(dir, formerFolder, "objects")))
	for _, name := range []string{"elsewhere", "recordings/elsewhere"} { // a bucket, and an object
		link := filepath.Join(dir, formerFolder, "objects", name)
		must(t, os.Symlink(t.TempDir(), link))
		if err := TakeOver(dir, func() {}); domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "elsewhere") {
			t.Error(err)
		}
		must(t, os.Remove(link))
	}
	must(t, TakeOver(dir, func() {}))
	wantTakenOver(t, dir)

	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	makeFormer(t, dir, true)
	must(t, os.Rename(filepath.Join(dir, "objects"), elsewhere), os.Symlink(elsewhere, filepath.Join(dir, "objects")))
	if err := TakeOver(dir, func() { t.Error("it moves a link") }); domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "put its content there") {
		t.Error("all of it is elsewhere: ", err)
	}
	must(t, os.Remove(filepath.Join(dir, "objects")), os.Rename(elsewhere, filepath.Join(dir, "objects")))
	must(t, TakeOver(dir, func() {}))
	wantTakenOver(t, dir)

	empty := t.TempDir()
	unwanted := func() { t.Error("it begins where nothing is") }
	must(t, TakeOver(empty, unwanted), TakeOver(filepath.Join(empty, "missing"), unwanted))
	if left := paths(t, empty); len(left) != 1 {
		t.Errorf("it made %v", left)
	}
}
