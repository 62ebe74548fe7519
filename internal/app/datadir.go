package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore/dir"
)

const (
	lockName     = "callvault.lock"
	catalogName  = "catalog.db"
	objectsName  = "objects"
	runtimeName  = "run.json"
	lockInterval = 50 * time.Millisecond
)

// DataDir is the directory of the embedded parts, locked by this process.
type DataDir struct {
	path string
	lock *flock.Flock
}

// lockOrFind serves commands that may run beside a standalone callvault. It returns the locked
// directory, or the runtime file of the process that has the lock. Another command, or a process
// that starts, has the lock and no runtime file: then it waits until ctx ends, with
// KindUnavailable.
func lockOrFind(ctx context.Context, dir string) (d *DataDir, rt *Runtime, err error) {
	rt, err = waitForRuntime(ctx, dir, func() (free bool, err error) {
		d, err = tryLock(dir)
		return d != nil, err
	})
	return d, rt, err
}

// findRunning is lockOrFind for callers that must change nothing: it makes and removes no file, and
// keeps no lock. It returns nil when no process has the lock.
func findRunning(ctx context.Context, dir string) (*Runtime, error) {
	lock := flock.New(filepath.Join(absolute(dir), lockName), flock.SetFlag(os.O_RDONLY))
	return waitForRuntime(ctx, dir, func() (free bool, err error) {
		free, err = lock.TryRLock()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return true, nil // whoever locks it makes the file
		case err != nil:
			return false, domain.Wrap(domain.KindUnavailable, err, "cannot look whether a callvault has locked the data directory %s", absolute(dir))
		case free:
			return true, lock.Close()
		}
		return false, nil
	})
}

// waitForRuntime returns the runtime file of the process that has the lock, as soon as it is there,
// or nil when the lock is free.
func waitForRuntime(ctx context.Context, dir string, isFree func() (bool, error)) (*Runtime, error) {
	tick := time.NewTicker(lockInterval)
	defer tick.Stop()
	for {
		if free, err := isFree(); free || err != nil {
			return nil, err
		}
		if rt, err := readRuntime(absolute(dir)); !errors.Is(err, fs.ErrNotExist) {
			return rt, err
		}
		select {
		case <-ctx.Done():
			return nil, domain.Wrap(domain.KindUnavailable, ctx.Err(), "another callvault has locked the data directory %s and is not ready; try again in a moment", absolute(dir))
		case <-tick.C:
		}
	}
}

// tryLock returns nil when another process has the lock.
func tryLock(path string) (*DataDir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, domain.Wrap(domain.KindInvalid, err, "the data directory %s has no absolute path", path)
	}
	if err := dir.MakeFolder(abs); err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "cannot make the data directory %s; choose one that this user may write to with --data or CALLVAULT_DATA", abs)
	}
	lock := flock.New(filepath.Join(abs, lockName), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "cannot lock the data directory %s", abs)
	}
	if !held {
		return nil, nil // another process has the lock, which is no error
	}
	d := &DataDir{path: abs, lock: lock}
	// The process that wrote this file has ended: else it would still have the lock.
	if err := d.removeRuntimeFile(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// Abandoned reports whether the standalone process whose parts these are has ended. It takes the
// lock to find out, and gives it back.
func (p *Parts) Abandoned() bool {
	if p.Standalone == nil {
		return false
	}
	lock := flock.New(filepath.Join(absolute(p.Config.Data), lockName), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	return err == nil && free && lock.Unlock() == nil
}

// dataFile names the file that every data directory has once its first start is complete.
func dataFile(noCatalog, noObjects bool) string {
	switch {
	case noCatalog:
		return catalogName
	case noObjects:
		return objectsName
	}
	return lockName
}

// requireData refuses a data directory that has none of the named files. A mistyped directory must
// not become a new, empty installation.
func requireData(dir string, names ...string) error {
	abs := absolute(dir)
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(abs, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil // opening the parts reports every other error
		}
	}
	return domain.Errorf(domain.KindNotFound, "the data directory %s holds no callvault data: it has no %s; name the right one with --data or CALLVAULT_DATA, or make a new one with callvault standalone or callvault migrate up",
		abs, names[0])
}

// absolute serves messages, and paths that tryLock has already made absolute once.
func absolute(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	return abs
}

// Path is the directory's absolute path.
func (d *DataDir) Path() string { return d.path }

// Close removes the runtime file and frees the lock. The lock file stays: if it were removed, two
// processes could lock two files of the same name.
func (d *DataDir) Close() error {
	return errors.Join(d.removeRuntimeFile(), d.lock.Close())
}

func (d *DataDir) removeRuntimeFile() error {
	err := os.Remove(filepath.Join(d.path, runtimeName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the runtime file: %w", err)
	}
	return nil
}
