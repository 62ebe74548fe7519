package dir

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// What an upload knows of its parts stays true when the disk fails between.
func TestUploadOnAFailingDisk(t *testing.T) {
	b := open(t, t.TempDir())
	var id string
	begin := func() {
		t.Helper()
		var err error
		id, err = b.NewUpload(t.Context(), "a/b", objstore.UploadOptions{ContentType: "audio/ogg", PartSize: 3})
		must(t, err)
	}
	write := func(n int, content string) (objstore.Part, error) {
		return b.PutPart(t.Context(), "a/b", id, n, []byte(content), crc32.ChecksumIEEE([]byte(content)))
	}
	complete := func(parts ...objstore.Part) error {
		_, err := b.Complete(t.Context(), "a/b", id, parts, objstore.CompleteOptions{IfNoneMatch: true})
		return err
	}
	begin()
	first, err := write(1, "one")
	must(t, err)
	second, err := write(2, "two")
	must(t, err)

	put(t, b, "a/b", "another object")
	if err := complete(first); domain.KindOf(err) != domain.KindConflict {
		t.Error("onto another object: ", err)
	}
	must(t, b.Remove(t.Context(), "a/b"))
	if err := complete(first, second); domain.KindOf(err) != domain.KindStoreFault {
		t.Error("a part that the try without it has cut off: ", err)
	}
	writable := b.uploads[id].temp.file
	b.uploads[id].temp.file, err = os.Open(os.DevNull)
	must(t, err)
	if _, err := write(1, "new"); domain.KindOf(err) != domain.KindUnavailable {
		t.Error("a part on a disk that fails: ", err)
	}
	must(t, b.uploads[id].temp.file.Close())
	b.uploads[id].temp.file = writable
	if err := complete(first); domain.KindOf(err) != domain.KindStoreFault {
		t.Error("a part that may be half of another: ", err)
	}

	first, err = write(1, "one")
	must(t, err)
	b.sync = func(*os.File) error { return syscall.EIO }
	if err := complete(first); domain.KindOf(err) != domain.KindUnavailable {
		t.Error("without a disk: ", err)
	}
	b.sync = (*os.File).Sync
	if err := complete(first); !errors.Is(err, domain.ErrLost) {
		t.Error("of bytes that may not be on disk: ", err)
	}

	begin()
	first, err = write(1, "one")
	must(t, err)
	b.sync = func(f *os.File) error { // the object is published, and its folder is not on disk
		if !strings.Contains(f.Name(), tempFolder) {
			return syscall.EIO
		}
		return f.Sync()
	}
	if err := complete(first); domain.KindOf(err) != domain.KindUnavailable {
		t.Error("without its folder: ", err)
	}
	if _, err := write(1, "new"); !errors.Is(err, domain.ErrLost) {
		t.Error("a part of what is published: ", err)
	}
	wantContent(t, b, "a/b", "one")
}

// When several write the same part at once, the part never has the bytes of one and the sum of
// another.
func TestPartTwiceAtOnce(t *testing.T) {
	b := open(t, t.TempDir())
	const size = 1 << 20
	for n := range 20 {
		key := strconv.Itoa(n)
		id, err := b.NewUpload(t.Context(), key, objstore.UploadOptions{PartSize: size})
		must(t, err)
		var group sync.WaitGroup
		for w := range 4 {
			data := bytes.Repeat([]byte{byte(w)}, size)
			group.Go(func() {
				_, err := b.PutPart(t.Context(), key, id, 1, data, crc32.ChecksumIEEE(data))
				must(t, err)
			})
		}
		group.Wait()
		_, err = b.Complete(t.Context(), key, id, []objstore.Part{b.uploads[id].parts[1]}, objstore.CompleteOptions{})
		must(t, err)
		o, err := b.Get(t.Context(), key, objstore.GetOptions{})
		must(t, err)
		got, err := io.ReadAll(o.Body)
		must(t, err, o.Body.Close())
		if sum := crc32.ChecksumIEEE(got); sum != *o.CRC32 {
			t.Fatalf("the bytes have the CRC-32 %08x, and the object %08x", sum, *o.CRC32)
		}
	}
}
