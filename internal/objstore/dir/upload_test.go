package dir

import (
	"errors"
	"hash/crc32"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// What an upload knows of its parts stays true when the disk fails between.
func TestUploadOnAFailingDisk(t *testing.T) {
	b := open(t, t.TempDir())
	id, err := b.NewUpload(t.Context(), "a/b", "audio/ogg", 3)
	must(t, err)
	write := func(n int, content string) (objstore.Part, error) {
		return b.PutPart(t.Context(), "a/b", id, n, []byte(content), crc32.ChecksumIEEE([]byte(content)))
	}
	complete := func(parts ...objstore.Part) error {
		_, err := b.Complete(t.Context(), "a/b", id, parts, objstore.CompleteOptions{IfNoneMatch: true})
		return err
	}
	first, err := write(1, "one")
	must(t, err)
	second, err := write(2, "two")
	must(t, err)

	b.sync = func(*os.File) error { return syscall.EIO }
	if err := complete(first); domain.KindOf(err) != domain.KindUnavailable {
		t.Error("without a disk: ", err)
	}
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
