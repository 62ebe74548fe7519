package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/gofrs/flock"
)

const (
	lockName    = "callvault.lock"
	catalogName = "catalog.db"
	objectsName = "objects"
	runtimeName = "run.json"
	lockPoll    = 50 * time.Millisecond
)

// DataDir is the directory of the embedded parts, locked by this process.
type DataDir struct {
	path string
	lock *flock.Flock
}

// Lock takes the directory for this process, making it where it is missing. When another
// process has it the error is KindConflict and says who.
func Lock(dir string) (*DataDir, error) {
	d, err := tryLock(dir)
	if err != nil || d != nil {
		return d, err
	}
	abs := absolute(dir)
	if rt, err := readRuntime(abs); err == nil {
		return nil, domain.Errorf(domain.KindConflict, "another callvault (pid %d, %s) runs on the data directory %s; stop it, or choose another directory with --data",
			rt.PID, rt.URL, abs)
	}
	return nil, domain.Errorf(domain.KindConflict, "another callvault command works on the data directory %s; wait for it, or choose another directory with --data", abs)
}

// Beside is for commands that may run beside a standalone callvault: it gives either the locked
// directory, or the runtime file of the process that has it. While the directory is locked and
// there is no runtime file (a start, or another command), it waits until ctx ends; the error is
// then KindUnavailable.
func Beside(ctx context.Context, dir string) (*DataDir, *Runtime, error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		d, err := tryLock(dir)
		if err != nil || d != nil {
			return d, nil, err
		}
		if rt, err := readRuntime(absolute(dir)); err == nil {
			return nil, rt, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, domain.Wrap(domain.KindUnavailable, ctx.Err(), "another callvault has locked the data directory %s and is not ready; try again in a moment", absolute(dir))
		case <-tick.C:
		}
	}
}

// tryLock gives nil when another process has the lock.
func tryLock(dir string) (*DataDir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, domain.Wrap(domain.KindInvalid, err, "the data directory %s has no absolute path", dir)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "cannot make the data directory %s", abs)
	}
	lock := flock.New(filepath.Join(abs, lockName), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "cannot lock the data directory %s", abs)
	}
	if !held {
		return nil, nil //nolint:nilnil // neither ours nor an error: somebody else's
	}
	d := &DataDir{path: abs, lock: lock}
	// Whoever wrote it is dead, or it would hold the lock.
	if err := d.removeRuntime(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// Abandoned says that the standalone process whose parts these are has ended: its lock is free.
func (p *Parts) Abandoned() bool {
	if p.Beside == nil {
		return false
	}
	lock := flock.New(filepath.Join(absolute(p.Config.Data), lockName), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	return err == nil && free && lock.Unlock() == nil
}

// marker is what a first start leaves in a data directory.
func marker(noCatalog, noObjects bool) string {
	switch {
	case noCatalog:
		return catalogName
	case noObjects:
		return objectsName
	}
	return lockName
}

// holds refuses a data directory in which none of the names is: a mistyped directory must not
// become a new, empty vault.
func holds(dir string, names ...string) error {
	abs := absolute(dir)
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(abs, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil // what else is wrong with it, opening says
		}
	}
	return domain.Errorf(domain.KindNotFound, "the data directory %s holds no callvault data: it has no %s; name the right one with --data or CALLVAULT_DATA, or make a new one with callvault standalone or callvault migrate up",
		abs, names[0])
}

// absolute is for messages and for paths that tryLock has already made absolute once.
func absolute(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return abs
}

// Path is the directory's absolute path.
func (d *DataDir) Path() string { return d.path }

// Close removes the runtime file and frees the directory. The lock file stays: removing it
// would let two processes lock two files of the same name.
func (d *DataDir) Close() error {
	return errors.Join(d.removeRuntime(), d.lock.Close())
}

func (d *DataDir) removeRuntime() error {
	err := os.Remove(filepath.Join(d.path, runtimeName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the runtime file: %w", err)
	}
	return nil
}
