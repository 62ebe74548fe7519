package pack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// Line is a line of lines.ndjson. The leaf of the log is that of its columns and salt; see
// docs/audit.md.
type Line struct {
	N         int64  `json:"n"`    // from 1, without gaps
	Leaf      int64  `json:"leaf"` // number of the leaf
	Salt      string `json:"salt"`
	Seq       int64  `json:"seq"`
	AtUS      int64  `json:"atUs"`
	Tenant    string `json:"tenant"`
	Actor     string `json:"actor"`
	Action    string `json:"action"`
	Detail    string `json:"detail"`              // as stored
	Links     string `json:"links,omitempty"`     // hex, SHA-256 of linksText
	LinksText string `json:"linksText,omitempty"` // as stored
}

// Seal is a line of seals.ndjson.
type Seal struct {
	N    int64  `json:"n"`    // from 1, without gaps
	Leaf int64  `json:"leaf"` // number of the leaf
	Data string `json:"data"` // of the leaf: the seal without proof
}

// file is a file of data that is being written.
type file struct {
	disk *os.File
	out  *bufio.Writer
	sha  hash.Hash
	info File
}

func (w *writer) create(name string) (*file, error) {
	w.Progress(name)
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // below the pack's own directory
	if err != nil {
		return nil, err
	}
	sha := sha256.New()
	return &file{disk: f, out: bufio.NewWriterSize(io.MultiWriter(f, sha), 64<<10), sha: sha, info: File{Name: name}}, nil
}

func (f *file) Write(b []byte) (int, error) {
	n, err := f.out.Write(b)
	f.info.Bytes += int64(n)
	return n, err
}

// line writes v, or JSON text, as a line.
func (f *file) line(v any) error {
	text, raw := v.([]byte)
	if !raw {
		var err error
		if text, err = json.Marshal(v); err != nil {
			return err
		}
	}
	f.info.Lines++
	_, err := f.Write(append(text, '\n'))
	return err
}

// finish closes a file and notes it in the manifest. err is that of writing it.
func (w *writer) finish(f *file, err error) error {
	if err == nil {
		err = f.out.Flush()
	}
	if err == nil {
		err = f.disk.Sync()
	}
	if err = errors.Join(err, f.disk.Close()); err != nil {
		return fmt.Errorf("write %s: %w", f.info.Name, err)
	}
	f.info.SHA256 = hex.EncodeToString(f.sha.Sum(nil))
	w.manifest.Files = append(w.manifest.Files, f.info)
	return nil
}

func (w *writer) line(n int64, l catalog.SealedLine) Line {
	return Line{
		N: n, Leaf: l.Leaf, Salt: evidence.LineSalt(w.Keys.Secret, l.Line), Seq: l.Seq, AtUS: l.AtUS, Tenant: l.Tenant, Actor: l.Actor,
		Action: l.Action, Detail: l.Detail, Links: hex.EncodeToString(l.Links), LinksText: l.LinksText,
	}
}

// lines writes the lines of the audit log.
func (w *writer) lines(ctx context.Context) (n int64, err error) {
	f, err := w.create("lines.ndjson")
	if err != nil {
		return 0, err
	}
	err = w.catalog.EvidenceLines(ctx, w.Tenant, w.From.Start(), w.until, func(l catalog.SealedLine) error {
		if l.Leaf < 0 {
			w.manifest.Unplaced++
			return nil
		}
		n++
		w.leaves[l.Leaf>>8] = struct{}{}
		return f.line(w.line(n, l))
	})
	return n, w.finish(f, err)
}

// seals writes the seals of the days.
func (w *writer) seals(ctx context.Context) (n int64, err error) {
	f, err := w.create("seals.ndjson")
	if err != nil {
		return 0, err
	}
	for day := w.From; day <= w.To && err == nil; day = day.Add(1) {
		var list []catalog.SealedDay
		list, err = w.catalog.EvidenceSeals(ctx, w.Tenant, day)
		for _, s := range list {
			if s.Leaf < 0 {
				w.manifest.Unplaced++
				continue
			}
			n++
			w.leaves[s.Leaf>>8] = struct{}{}
			err = errors.Join(err, f.line(Seal{N: n, Leaf: s.Leaf, Data: s.Data}), w.addSealed(s.Data))
		}
	}
	return n, w.finish(f, err)
}

// addSealed notes which archives a seal names.
func (w *writer) addSealed(data string) error {
	var day struct {
		Hours []struct {
			Manifest *string `json:"manifestSha256"`
		} `json:"hours"`
	}
	if err := json.Unmarshal([]byte(data), &day); err != nil {
		return domain.Wrap(domain.KindBadCatalog, err, "a seal in the catalog can't be read; run: callvault log verify")
	}
	for _, h := range day.Hours {
		if h.Manifest != nil {
			w.sealed[*h.Manifest] = true
		}
	}
	return nil
}

// logKeys writes the log's public keys.
func (w *writer) logKeys() error {
	f, err := w.create("log-keys.txt")
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, strings.Join(w.Keys.Verifiers, "\n")+"\n")
	return w.finish(f, err)
}

// tables writes what the catalog says now of holds, erasures and the like.
func (w *writer) tables(ctx context.Context) error {
	for _, table := range catalog.EvidenceTables() {
		f, err := w.create(table + ".ndjson")
		if err != nil {
			return err
		}
		err = w.catalog.EvidenceRows(ctx, table, w.Tenant, w.From, w.To, func(row []byte) error { return f.line(row) })
		if err := w.finish(f, err); err != nil {
			return err
		}
	}
	return nil
}

// archives copies the archives that are served or held.
func (w *writer) archives(ctx context.Context) error {
	if !w.Archives {
		return nil
	}
	for day := w.From; day <= w.To; day = day.Add(1) {
		list, err := w.catalog.EvidenceArchives(ctx, w.Tenant, day)
		if err != nil {
			return err
		}
		for _, a := range list {
			if err := w.copy(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// copy copies one archive.
func (w *writer) copy(ctx context.Context, a catalog.EvidenceArchive) error {
	hour := domain.HourKey{Tenant: w.Tenant, Day: a.Day, Hour: a.Hour}
	f, err := w.create(fmt.Sprintf("archives/%s/%s-%d.zip", a.Day, hour.HH(), a.Revision))
	if err != nil {
		return err
	}
	object, err := w.bucket.Get(ctx, a.ObjectKey, objstore.GetOptions{IfMatch: a.ETag, Version: a.VersionID})
	if err == nil {
		_, err = io.Copy(f, object.Body)
		object.Body.Close()
		if err == nil && f.info.Bytes != a.Size {
			err = fmt.Errorf("the object has %d bytes, the catalog says %d", f.info.Bytes, a.Size)
		}
	}
	f.info.Unsealed = !w.sealed[a.ManifestSHA256]
	if err != nil {
		err = fmt.Errorf("copy the archive of %s: %w", hour, err)
	}
	return w.finish(f, err)
}
