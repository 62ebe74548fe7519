package worker

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// former is an archive that its hour does not serve any more, because an erasure hid it or it
// was found broken. If a source is gone or is not what the catalog knows, the build takes the
// recording from this archive. The archive is opened only then, so that a build whose sources are
// right does not depend on it.
type former struct {
	bucket  Getter
	archive catalog.FormerArchive
	ctx     context.Context // of the build, as the archiver asks without one
	log     *zap.Logger

	opened bool
	files  map[string]formerFile // by object key
	err    error                 // why an archive that should be right could not be read
	taken  map[string]bool       // keys that are read from here; not changed while the archiver reads
}

// formerFile is a recording in a former archive.
type formerFile struct {
	*zip.File
	sum domain.SHA256
}

// Getter reads objects.
type Getter interface {
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
}

func (b *build) newFormer(a *catalog.FormerArchive) *former {
	if a == nil {
		return nil
	}
	return &former{bucket: b.archives, archive: *a, ctx: b.work, log: b.log, taken: map[string]bool{}}
}

// read reads the directory, metadata.json and SHA256SUMS once. An archive that is gone or damaged
// has no files.
func (f *former) read() {
	if f.opened {
		return
	}
	f.opened = true
	r, err := zip.NewReader(&objstore.Pieces{Size: f.archive.Size, Piece: 256 << 10, Get: func(from, n int64) (*objstore.Object, error) {
		return f.get(f.ctx, from, n)
	}}, f.archive.Size)
	if err == nil {
		f.files, err = readFormer(r)
	}
	if err == nil {
		return
	}
	if !f.archive.Broken && !isDamage(err) {
		f.err = err
		return
	}
	f.log.Warn("the hour's former archive cannot be read; recordings whose sources are gone stay out", zap.String("object", f.archive.ObjectKey), zap.Error(err))
}

// isDamage tells errors about an archive's bytes from those of the store, which may pass.
func isDamage(err error) bool {
	switch domain.KindOf(err) {
	case domain.KindNotFound, domain.KindConflict, domain.KindUnreadable, domain.KindInternal:
		return true
	}
	return false
}

// failure gives why the build must not be published: the former archive could not be read, and may
// have recordings that are gone elsewhere.
func (f *former) failure() error {
	if f == nil {
		return nil
	}
	return f.err
}

// instead gives the entry to be archived in place of one whose source is gone or has other bytes.
// It gives none where the archive's recording is not what the catalog knows, corrections included.
// The archiver compares the bytes with SHA256SUMS, and not with the directory's CRC-32, which may
// be what broke. sized says that e.Size is known.
func (f *former) instead(e archiver.Entry, sized bool) (archiver.Entry, bool) {
	f.read()
	file, ok := f.files[e.Key]
	if !ok || file.UncompressedSize64 > uint64(f.archive.Size) {
		return e, false
	}
	size := int64(file.UncompressedSize64)
	if sized && e.Size != size || e.SHA256 != nil && *e.SHA256 != file.sum {
		return e, false
	}
	f.taken[e.Key] = true
	e.SHA256, e.Optional = &file.sum, f.archive.Broken
	e.Size, e.ETag = size, f.archive.ETag // else the build would learn the archive's ETag for the recording
	return e, true
}

// takes gives the file from which a recording is read, if it is.
func (f *former) takes(key string) (formerFile, bool) {
	if f == nil || !f.taken[key] {
		return formerFile{}, false
	}
	return f.files[key], true
}

// errFormer says that a former archive is not what callvault writes.
var errFormer = errors.New("not an archive of callvault's")

const (
	metadataName = "metadata.json"
	sumsName     = "SHA256SUMS"
)

// readFormer finds each recording of metadata.json among the entries. Sessions are in the order of
// their first entries. So the folder of a session is that of the first entry that is not found yet.
func readFormer(r *zip.Reader) (map[string]formerFile, error) {
	sums, err := formerSums(r)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Sessions []struct {
			Files []struct{ FileName, OriginalPath string }
		}
	}
	text, err := r.Open(metadataName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormer, err)
	}
	err = json.NewDecoder(text).Decode(&metadata)
	if err == nil {
		_, err = io.Copy(io.Discard, text) // its CRC-32 is compared at the end
	}
	if err := errors.Join(err, text.Close()); err != nil {
		return nil, err
	}
	byName := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		byName[f.Name] = f
	}
	delete(byName, metadataName)
	delete(byName, sumsName)
	files, first := make(map[string]formerFile, len(byName)), 0
	for _, s := range metadata.Sessions {
		for first < len(r.File) && byName[r.File[first].Name] == nil {
			first++
		}
		if first == len(r.File) {
			return nil, errFormer
		}
		folder := r.File[first].Name[:strings.LastIndexByte(r.File[first].Name, '/')+1]
		for _, f := range s.Files {
			name := folder + f.FileName
			entry, sum := byName[name], sums[name]
			if entry == nil || entry.Method != zip.Store || sum == (domain.SHA256{}) {
				return nil, errFormer
			}
			files[f.OriginalPath] = formerFile{entry, sum}
			delete(byName, name)
		}
	}
	return files, nil
}

// formerSums reads SHA256SUMS.
func formerSums(r *zip.Reader) (map[string]domain.SHA256, error) {
	file, err := r.Open(sumsName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormer, err)
	}
	sums := make(map[string]domain.SHA256, len(r.File))
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		digest, name, ok := strings.Cut(lines.Text(), "  ")
		sum, err := domain.ParseSHA256(digest)
		if !ok || err != nil {
			return nil, errors.Join(errFormer, file.Close())
		}
		sums[name] = sum
	}
	return sums, errors.Join(lines.Err(), file.Close())
}

// open is an archiver.Source for one of the files.
func (f *former) open(ctx context.Context, file formerFile, from, n int64) (archiver.Object, error) {
	if n == 0 { // the store has no range without a byte
		return archiver.Object{Body: http.NoBody, ETag: f.archive.ETag}, nil
	}
	at, err := file.DataOffset() // by the reader's context, which is the build's
	if err != nil && isDamage(err) {
		err = fmt.Errorf("%w: %w", archiver.ErrVanished, err)
	}
	if err != nil {
		return archiver.Object{}, err
	}
	o, err := f.get(ctx, at+from, n)
	if err != nil {
		return archiver.Object{}, err
	}
	return archiver.Object{Body: o.Body, Size: int64(file.UncompressedSize64), ETag: f.archive.ETag}, nil
}

func (f *former) get(ctx context.Context, from, n int64) (*objstore.Object, error) {
	return f.bucket.Get(ctx, f.archive.ObjectKey, objstore.GetOptions{From: from, To: from + n, IfMatch: f.archive.ETag, Version: f.archive.VersionID})
}
