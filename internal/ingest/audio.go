package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// uploadsAtOnce bounds the files that one AudioDir uploads at a time.
const uploadsAtOnce = 8

// AudioCatalog is the part of the catalog that an AudioDir uses; see catalog.ReserveUpload.
type AudioCatalog interface {
	Registrar
	ReserveUpload(ctx context.Context, tenant, key string) (catalog.Reserved, error)
	RegisterUpload(ctx context.Context, tenant string, u catalog.Upload) error
}

// AudioBucket is the bucket of recordings. Errors as of package objstore.
type AudioBucket interface {
	PutStream(ctx context.Context, key string, r io.Reader, size int64, contentType string) (objstore.Stored, error)
	Stat(ctx context.Context, key string) (objstore.Info, error)
	Get(ctx context.Context, key string, opts objstore.GetOptions) (*objstore.Object, error)
	Sync(key string) error
}

// AudioDir stores batches. Before it stores the lines, it uploads the audio that they name from a
// directory, so that a build that reads a line finds its bytes. It skips keys without a file.
type AudioDir struct {
	Dir     string
	Catalog AudioCatalog
	Bucket  AudioBucket
	// Uploaded, when set, is called for every file that was found, with its size and whether its
	// bytes were in the bucket before. Several goroutines call it.
	Uploaded func(size int64, existed bool)
	// Sent, when set, is called with how many bytes of audio were sent since its last call. A file
	// that was in the bucket before counts as sent at once. Several goroutines call it.
	Sent func(n int64)
	// Absent, when set, is called for every key that is neither in the directory nor in the bucket.
	// Several goroutines call it.
	Absent func(key string)
}

// Register uploads the batch's audio, then stores the batch.
func (a *AudioDir) Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(uploadsAtOnce)
	eachAudio(b, func(number int, key, contentType string, ofLine catalog.Reserved) {
		g.Go(func() error {
			err := a.upload(gctx, tenant, key, contentType, ofLine)
			switch domain.KindOf(err) {
			case domain.KindInvalid, domain.KindConflict, domain.KindEnding, domain.KindUnreadable:
				return &catalog.LineError{Line: number, Err: err}
			}
			return err
		})
	})
	if err := g.Wait(); err != nil {
		return catalog.Counts{}, err
	}
	return a.Catalog.Register(ctx, tenant, b)
}

// eachAudio calls visit once for each object key that the batch names.
func eachAudio(b catalog.Batch, visit func(number int, key, contentType string, ofLine catalog.Reserved)) {
	seen := map[string]bool{"": true}
	once := func(number int, key, contentType string, ofLine catalog.Reserved) {
		if !seen[key] {
			seen[key] = true
			visit(number, key, contentType, ofLine)
		}
	}
	for _, l := range b.Recordings {
		once(l.Number, l.Value.ObjectKey, l.Value.ContentType, catalog.Reserved{Size: l.Value.Size, CRC32: l.Value.CRC32, SHA256: l.Value.SHA256})
	}
	for _, l := range b.Conversations {
		once(l.Number, l.Value.RecordingKey, "", catalog.Reserved{})
	}
}

// Measure adds up the sizes of the files that the lines of r name: what Load will give to Sent in
// all. It ends at the first bad line, which Load reports. Errors: those of ctx and of the
// directory.
func (a *AudioDir) Measure(ctx context.Context, r io.Reader) (bytes int64, err error) {
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	lines := NewReader(r)
	for ctx.Err() == nil {
		batch, err := lines.Batch()
		if err != nil {
			return bytes, nil
		}
		eachAudio(batch, func(_ int, key, _ string, _ catalog.Reserved) {
			if info, err := root.Stat(filepath.FromSlash(key)); err == nil && info.Mode().IsRegular() {
				bytes += info.Size()
			}
		})
	}
	return bytes, ctx.Err()
}

// upload stores one file under its key, unless the same bytes are there. A file that contradicts
// its line or the catalog is KindConflict before anything is stored, because a key is never
// replaced.
func (a *AudioDir) upload(ctx context.Context, tenant, key, contentType string, ofLine catalog.Reserved) (err error) {
	file, err := a.open(key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENAMETOOLONG) { // no file can have a name that long
		return a.reportAbsent(ctx, key)
	}
	if err != nil && domain.KindOf(err) == domain.KindInvalid {
		return err
	}
	if err != nil {
		return domain.Wrap(domain.KindInvalid, err, "the audio of %q cannot be read", key)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	known, err := a.Catalog.ReserveUpload(ctx, tenant, key)
	if err != nil {
		return err
	}
	if known.Erased {
		return a.dropErased(ctx, tenant, key, file, known.Since)
	}
	if known.Corrected {
		ofLine = catalog.Reserved{}
	}
	u, err := checksum(file, known.SHA256 != nil || ofLine.SHA256 != nil)
	if err != nil {
		return domain.Wrap(domain.KindInvalid, err, "the audio of %q cannot be read", key)
	}
	u.Key = key
	for _, k := range []struct {
		catalog.Reserved
		of, help string
	}{
		{known, "its recording", "an operator corrects the recording (callvault recording correct)"},
		{ofLine, "its line", "correct the line"},
	} {
		if k.Size != nil && *k.Size != u.Size || k.CRC32 != nil && *k.CRC32 != u.CRC32 {
			return domain.Errorf(domain.KindConflict, `the audio of %q has %d bytes and the CRC-32 %08x; "sizeBytes" or "crc32" of %s say otherwise; if the audio is right, %s`,
				key, u.Size, u.CRC32, k.of, k.help)
		}
		if k.SHA256 != nil && *k.SHA256 != *u.SHA256 {
			return domain.Errorf(domain.KindConflict, `the audio of %q has the SHA-256 %s; "sha256" of %s says otherwise; if the audio is right, %s`, key, u.SHA256, k.of, k.help)
		}
	}
	sent, size := &sentReader{Reader: file, add: a.Sent}, u.Size
	if u, err = a.put(ctx, sent, u, contentType); err != nil {
		return err
	}
	sent.count(size - sent.n)
	if a.Uploaded != nil {
		a.Uploaded(size, !u.New)
	}
	u.Since = known.Since
	return a.Catalog.RegisterUpload(ctx, tenant, u)
}

// dropErased registers erased audio that is in the bucket, so that it is deleted. A process that
// was killed during its upload may have left it there.
func (a *AudioDir) dropErased(ctx context.Context, tenant, key string, file *os.File, since int64) error {
	u, err := checksum(file, false)
	if err != nil {
		return domain.Wrap(domain.KindInvalid, err, "the audio of %q cannot be read", key)
	}
	same, err := a.sameBytes(ctx, key, u.CRC32, u.Size)
	if domain.KindOf(err) == domain.KindNotFound {
		return nil
	}
	if err != nil || !same {
		return err
	}
	u.Key, u.Since = key, since
	return a.Catalog.RegisterUpload(ctx, tenant, u)
}

// open opens a key's file. It follows no path out of the directory and does not wait for a named
// pipe.
func (a *AudioDir) open(key string) (*os.File, error) {
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	file, err := root.OpenFile(filepath.FromSlash(key), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = domain.Errorf(domain.KindInvalid, "%q is not a file", key)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// reportAbsent calls Absent for a key without a file, unless the bucket has it.
func (a *AudioDir) reportAbsent(ctx context.Context, key string) error {
	if a.Absent == nil {
		return nil
	}
	_, err := a.Bucket.Stat(ctx, key)
	if domain.KindOf(err) == domain.KindNotFound {
		a.Absent(key)
		return nil
	}
	return err
}

// checksum reads a file's size and CRC-32, and its SHA-256 where it is to be compared.
func checksum(file *os.File, whole bool) (u catalog.Upload, err error) {
	crc, sha := crc32.NewIEEE(), sha256.New()
	var sums io.Writer = crc
	if whole {
		sums = io.MultiWriter(crc, sha)
	}
	if u.Size, err = io.Copy(sums, file); err != nil {
		return u, err
	}
	if u.CRC32 = crc.Sum32(); whole {
		u.SHA256 = (*domain.SHA256)(sha.Sum(nil))
	}
	_, err = file.Seek(0, io.SeekStart)
	return u, err
}

// sentReader counts the bytes of a file as they are sent.
type sentReader struct {
	io.Reader
	n   int64
	add func(int64) // may be nil
}

func (s *sentReader) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.count(int64(n))
	return n, err
}

func (s *sentReader) count(n int64) {
	if s.n += n; s.add != nil {
		s.add(n)
	}
}

// put stores the file, and gives what is to be registered. Other bytes under the key are
// KindConflict.
func (a *AudioDir) put(ctx context.Context, file io.Reader, u catalog.Upload, contentType string) (catalog.Upload, error) {
	if same, err := a.sameBytes(ctx, u.Key, u.CRC32, u.Size); err == nil {
		return a.acceptExisting(u, same)
	} else if domain.KindOf(err) != domain.KindNotFound {
		return u, err
	}
	stored, err := a.Bucket.PutStream(ctx, u.Key, file, u.Size, cmp.Or(contentType, objstore.ContentTypeOf(u.Key)))
	if domain.KindOf(err) == domain.KindConflict { // another upload was faster
		same, err := a.sameBytes(ctx, u.Key, u.CRC32, u.Size)
		if err != nil {
			return u, err
		}
		return a.acceptExisting(u, same)
	}
	return catalog.Upload{Key: u.Key, Size: stored.Size, CRC32: stored.CRC32, SHA256: &stored.SHA256, ETag: stored.ETag, New: true}, err
}

// acceptExisting ends an upload whose key exists already. The stored bytes were compared by size
// and CRC-32 only, so nothing is said about their SHA-256.
func (a *AudioDir) acceptExisting(u catalog.Upload, same bool) (catalog.Upload, error) {
	if !same {
		return u, domain.Errorf(domain.KindConflict, "%q is stored already with other bytes; audio is never replaced, use another key", u.Key)
	}
	u.SHA256 = nil
	return u, a.Bucket.Sync(u.Key) // the upload that stored it may have died before its sync
}

// sameBytes says whether the stored object has these bytes. Error: KindNotFound.
func (a *AudioDir) sameBytes(ctx context.Context, key string, sum uint32, size int64) (same bool, err error) {
	info, err := a.Bucket.Stat(ctx, key)
	if err != nil || info.Size != size {
		return false, err
	}
	if info.CRC32 != nil {
		return *info.CRC32 == sum, nil
	}
	object, err := a.Bucket.Get(ctx, key, objstore.GetOptions{})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, object.Body.Close()) }()
	hash := crc32.NewIEEE()
	_, err = io.Copy(hash, object.Body)
	return hash.Sum32() == sum, err
}
