package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	wire "github.com/callvault/callvault/client/evidence"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// Bucket has the archives.
type Bucket interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

// Config says what a pack is of.
type Config struct {
	Tenant   string
	From, To domain.Day
	Out      string // its directory, which must not exist
	Archives bool   // copy the archives that are served or held, too
	Origin   audit.Origin
	// Seal seals the log up to now, so that the lines and seals of the pack have their numbers.
	Seal func(ctx context.Context) error
	// Keys are the log's.
	Keys evidence.Keys
	// Progress is told what is being written; it may be nil.
	Progress func(file string)
}

// exportDetail is the detail of the audit line of a pack.
type exportDetail struct {
	From     domain.Day `json:"from"`
	To       domain.Day `json:"to"`
	Lines    int64      `json:"lines"`
	Seals    int64      `json:"seals"`
	Archives bool       `json:"archives,omitempty"`
	Manifest string     `json:"manifest"` // hex, SHA-256 of manifest.json
	audit.Origin
}

// writer writes one pack.
type writer struct {
	Config
	catalog  *catalog.Catalog
	bucket   Bucket
	dir      string // what becomes Out
	until    time.Time
	manifest wire.Manifest
	leaves   map[int64]struct{} // tiles of level 0 whose leaves the pack has
	sealed   map[string]bool    // manifests of archives that seals of the pack name
}

// Write writes a pack and returns its manifest. Its directory appears whole or not at all.
// Errors: KindConflict when it exists, KindNotFound for an unknown tenant, and those of the
// catalog, the bucket and the disk.
func Write(ctx context.Context, cfg Config, c *catalog.Catalog, bucket Bucket) (m wire.Manifest, err error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if _, err := os.Lstat(cfg.Out); !errors.Is(err, os.ErrNotExist) {
		return m, errors.Join(err, domain.Errorf(domain.KindConflict, "%s exists already; name a directory that does not", cfg.Out))
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Out), 0o700); err != nil {
		return m, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(cfg.Out), "."+filepath.Base(cfg.Out)+"-")
	if err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	w := &writer{Config: cfg, catalog: c, bucket: bucket, dir: dir, leaves: map[int64]struct{}{}, sealed: map[string]bool{}}
	if err := w.write(ctx); err != nil {
		return m, err
	}
	return w.manifest, publish(dir, cfg.Out)
}

func (w *writer) write(ctx context.Context) error {
	now, err := w.catalog.Now(ctx)
	if err != nil {
		return err
	}
	if w.until = w.To.End(); now.Before(w.until) {
		w.until = now
	}
	if err := w.Seal(ctx); err != nil {
		return fmt.Errorf("seal the log: %w", err)
	}
	w.manifest = wire.Manifest{Kind: wire.Kind, Version: wire.Version, Tenant: w.Tenant, From: string(w.From), To: string(w.To), Log: w.Keys.Origin, MadeAt: now.UTC().Format(time.RFC3339)}
	lines, err := w.lines(ctx)
	if err != nil {
		return err
	}
	seals, err := w.seals(ctx)
	if err != nil {
		return err
	}
	if err := w.tables(ctx); err != nil {
		return err
	}
	if err := w.archives(ctx); err != nil {
		return err
	}
	err = w.create("log-keys.txt", func(f *file) error {
		_, err := io.WriteString(f, strings.Join(w.Keys.Verifiers, "\n")+"\n")
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := w.save("manifest.json", append(text, '\n')); err != nil {
		return err
	}
	sum := sha256.Sum256(append(text, '\n'))
	detail := exportDetail{From: w.From, To: w.To, Lines: lines, Seals: seals, Archives: w.Archives, Manifest: hex.EncodeToString(sum[:]), Origin: w.Origin}
	if err := w.catalog.AppendAudit(ctx, w.Origin, w.Tenant, catalog.ActionEvidence, detail); err != nil {
		return err
	}
	if err := w.Seal(ctx); err != nil {
		return fmt.Errorf("seal the log: %w", err)
	}
	return w.prove(ctx, detail.Manifest, now)
}

// exportWait is how long another sealer may take for the line of the pack.
const exportWait = 3 * time.Minute

// prove writes what proves the pack: the line of the audit log that names it, the newest
// checkpoint and the tree's hashes.
func (w *writer) prove(ctx context.Context, manifest string, since time.Time) error {
	w.Progress("proofs")
	export, head, err := w.provenExport(ctx, manifest, since)
	if err != nil {
		return err
	}
	text, err := json.Marshal(w.line(1, export))
	if err != nil {
		return err
	}
	w.placed(export.Leaf)
	if err := w.save("export.json", append(text, '\n')); err != nil {
		return err
	}
	if err := w.save("checkpoint.txt", []byte(head.Note)); err != nil {
		return err
	}
	return w.tiles(ctx, head)
}

// open makes a file of the pack.
func (w *writer) open(name string) (*os.File, error) {
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // below the pack's own directory
}

// save writes a file that is not named in the manifest.
func (w *writer) save(name string, data []byte) error {
	f, err := w.open(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// publish gives a directory, whose files are synced, its name, which nobody else may have taken
// meanwhile.
func publish(from, to string) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = syncDir(path)
		}
		return err
	})
	if err == nil {
		err = os.Rename(from, to)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(from))
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // the pack's own directory
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
