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
	"sync"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// former is an archive that its hour does not serve any more, because an erasure hid it or the
// patrol found it broken. Its recordings that were not erased keep their bytes. If a source is gone
// or has other bytes by now, the build takes the recording from this archive. What the catalog
// knows of a recording, corrections included, comes first.
type former struct {
	bucket  Getter
	archive catalog.FormerArchive
	files   map[string]formerFile // by object key
	taken   map[string]bool       // keys that are read from here; not changed while the archiver reads
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

// openFormer reads the directory, metadata.json and SHA256SUMS of a former archive. An archive that
// is gone or damaged has no files. Errors: KindUnavailable, and those of package objstore.
func openFormer(ctx context.Context, bucket Getter, a catalog.FormerArchive) (*former, error) {
	f := &former{bucket: bucket, archive: a, taken: map[string]bool{}}
	r, err := zip.NewReader(&blockReader{ctx: ctx, f: f}, a.Size)
	if err == nil {
		f.files, err = readFormer(r)
	}
	switch kind := domain.KindOf(err); {
	case err == nil, kind == domain.KindNotFound, kind == domain.KindConflict, kind == domain.KindUnreadable:
		return f, nil
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrChecksum), errors.Is(err, errFormer):
		return f, nil
	}
	return f, err
}

// expect drops files that are not what the catalog knows of their recordings. The build compares
// the sources with the other files.
func (f *former) expect(entries []archiver.Entry, recordings []catalog.BuildRecording) {
	if f == nil {
		return
	}
	for i := range entries {
		e := &entries[i]
		file, ok := f.files[e.Key]
		if !ok {
			continue
		}
		size, sum := int64(file.UncompressedSize64), file.CRC32
		if known := recordings[i].Size; known != nil && *known != size || e.CRC32 != nil && *e.CRC32 != sum || e.SHA256 != nil && *e.SHA256 != file.sum {
			delete(f.files, e.Key) // an operator has corrected the recording
			continue
		}
		e.CRC32, e.SHA256 = &sum, &file.sum
	}
}

// instead is archiver.Config's Instead.
func (f *former) instead(e archiver.Entry, _ archiver.Reason) (archiver.Entry, bool) {
	file, ok := f.files[e.Key]
	if !ok {
		return e, false
	}
	f.taken[e.Key] = true
	e.Size, e.ETag = int64(file.UncompressedSize64), f.archive.ETag // with another ETag the build would learn this one
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
	if err := errors.Join(json.NewDecoder(bufio.NewReader(text)).Decode(&metadata), text.Close()); err != nil {
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

// blockReader reads an archive's end in blocks, because a ZIP reader asks for few bytes at a time.
type blockReader struct {
	ctx context.Context // of the build, as the reader's methods take none
	f   *former

	mu    sync.Mutex
	at    int64
	block []byte
}

const blockSize = 256 << 10

// ReadAt implements io.ReaderAt.
func (r *blockReader) ReadAt(p []byte, off int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) {
		if off >= r.f.archive.Size {
			return n, io.EOF
		}
		if off < r.at || off >= r.at+int64(len(r.block)) {
			if err := r.load(off - off%blockSize); err != nil {
				return n, err
			}
		}
		got := copy(p[n:], r.block[off-r.at:])
		n, off = n+got, off+int64(got)
	}
	return n, nil
}

func (r *blockReader) load(at int64) error {
	o, err := r.f.get(r.ctx, at, min(blockSize, r.f.archive.Size-at))
	if err != nil {
		return err
	}
	block, err := io.ReadAll(o.Body)
	if err = errors.Join(err, o.Body.Close()); err == nil && int64(len(block)) < min(blockSize, r.f.archive.Size-at) {
		err = domain.Errorf(domain.KindUnavailable, "the object store gave less than the archive has")
	}
	if err == nil {
		r.at, r.block = at, block
	}
	return err
}
