package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// A process that is stopped while it holds an object's lock blocks no call for ever.
func TestLockThatIsHeldForLong(t *testing.T) {
	b := open(t, t.TempDir())
	put(t, b, "a/b", "x")
	held, err := b.openLocked(t.Context(), "a/b", 0)
	must(t, err)
	b.lockWait = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Remove(ctx, "a/b"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("remove until the context ends: %v", err)
	}
	b.lockWait = 20 * time.Millisecond
	_, err = b.Put(t.Context(), "a/b", []byte("y"), objstore.PutOptions{})
	for _, err := range []error{err, b.Remove(t.Context(), "a/b")} {
		if domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(err.Error(), "holds the file's lock") || strings.Contains(err.Error(), "file system") {
			t.Errorf("a lock that is held: %v", err)
		}
	}
	must(t, os.Remove(filepath.Join(b.cfg.Path, "a/b"+infoSuffix)))
	wantContent(t, b, "a/b", "x") // without its side file, which the lock's holder may write
	must(t, held.Close(), b.Remove(t.Context(), "a/b"))
}
