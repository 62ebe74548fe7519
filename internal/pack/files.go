package pack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/torchwood"

	"github.com/callvault/callvault/client/dayseal"
	wire "github.com/callvault/callvault/client/evidence"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/objstore"
)

// file is a file of data that is being written.
type file struct {
	out  *bufio.Writer
	info wire.File
}

// create makes a file of data, which fill writes, and notes it in the manifest.
func (w *writer) create(name string, fill func(f *file) error) error {
	w.Progress(name)
	disk, err := w.open(name)
	if err != nil {
		return err
	}
	sha := sha256.New()
	f := &file{out: bufio.NewWriterSize(io.MultiWriter(disk, sha), 64<<10), info: wire.File{Name: name}}
	if err = fill(f); err == nil {
		err = f.out.Flush()
	}
	if err == nil {
		err = disk.Sync()
	}
	if err = errors.Join(err, disk.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	f.info.SHA256 = hex.EncodeToString(sha.Sum(nil))
	w.manifest.Files = append(w.manifest.Files, f.info)
	return nil
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

func (w *writer) line(n int64, l catalog.EvidenceLine) wire.Line {
	return wire.Line{
		N: n, Leaf: l.Leaf, Salt: evidence.LineSalt(w.Keys.Secret, l.Line), Seq: l.Seq, AtUS: l.AtUS, Tenant: l.Tenant, Actor: l.Actor,
		Action: l.Action, Detail: l.Detail, Links: hex.EncodeToString(l.Links), LinksText: l.LinksText,
	}
}

// lines writes the lines of the audit log.
func (w *writer) lines(ctx context.Context) (n int64, err error) {
	err = w.create("lines.ndjson", func(f *file) error {
		return w.catalog.EvidenceLines(ctx, w.Tenant, w.From.Start(), w.until, func(l catalog.EvidenceLine) error {
			if !w.placed(l.Leaf) {
				return nil
			}
			n++
			return f.line(w.line(n, l))
		})
	})
	return n, err
}

// placed notes that the pack has a leaf. It counts a leaf that has no number yet, and is false
// then.
func (w *writer) placed(leaf int64) bool {
	if leaf < 0 {
		w.manifest.Unplaced++
		return false
	}
	w.leaves[leaf>>torchwood.TileHeight] = struct{}{}
	return true
}

// seals writes the seals of the days.
func (w *writer) seals(ctx context.Context) (n int64, err error) {
	err = w.create("seals.ndjson", func(f *file) error {
		for day := w.From; day <= w.To; day = day.Add(1) {
			list, err := w.catalog.EvidenceSeals(ctx, w.Tenant, day)
			for _, s := range list {
				if err == nil && w.placed(s.Leaf) {
					n++
					err = errors.Join(f.line(wire.Seal{N: n, Leaf: s.Leaf, Data: s.Data}), w.addSealed(s.Data))
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// addSealed notes which archives a seal names.
func (w *writer) addSealed(data string) error {
	var day dayseal.Seal
	if err := json.Unmarshal([]byte(data), &day); err != nil {
		return domain.Wrap(domain.KindBadCatalog, err, "a seal in the catalog can't be read; run: callvault log verify")
	}
	for i := range day.Hours {
		if sum := day.Hours[i].ManifestSHA256; sum != nil {
			w.sealed[*sum] = true
		}
	}
	return nil
}

// tables writes what the catalog says now of holds, erasures and the like.
func (w *writer) tables(ctx context.Context) error {
	for _, table := range catalog.EvidenceTables() {
		err := w.create(table+".ndjson", func(f *file) error {
			return w.catalog.EvidenceRows(ctx, table, w.Tenant, w.From, w.To, func(row []byte) error { return f.line(row) })
		})
		if err != nil {
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
	return w.create(fmt.Sprintf("archives/%s/%s-%d.zip", a.Day, hour.HH(), a.Revision), func(f *file) error {
		f.info.Unsealed = !w.sealed[a.ManifestSHA256]
		object, err := w.bucket.Get(ctx, a.ObjectKey, objstore.GetOptions{IfMatch: a.ETag, Version: a.VersionID})
		if err == nil {
			_, err = io.Copy(f, object.Body)
			object.Body.Close()
		}
		if err == nil && f.info.Bytes != a.Size {
			err = fmt.Errorf("the object has %d bytes, the catalog says %d", f.info.Bytes, a.Size)
		}
		if err != nil {
			return fmt.Errorf("copy the archive of %s: %w", hour, err)
		}
		return nil
	})
}
