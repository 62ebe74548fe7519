package dir

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// upload is an object that is written in parts. It ends with its process.
type upload struct {
	key, contentType string
	partSize         int64

	mu    sync.Mutex // held while a part is written: two writers of one file wait for each other anyway
	temp  *temp
	parts map[int]objstore.Part
	ended bool
}

// NewUpload begins an upload in parts of opts.PartSize bytes, the last of which may be shorter, and
// returns its id. Nothing can be read under the key before Complete.
func (b *Bucket) NewUpload(ctx context.Context, key string, opts objstore.UploadOptions) (id string, err error) {
	err = b.onKey(ctx, call{"begin_upload", "begin an upload of", key}, func(string) error {
		switch {
		case opts.PartSize < 1:
			return domain.Errorf(domain.KindInvalid, "no part has %d bytes", opts.PartSize)
		case opts.Lock != objstore.Lock{}:
			return errNoLock()
		}
		t, err := b.temp()
		if err != nil {
			return err
		}
		id = rand.Text()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.uploads[id] = &upload{key: key, contentType: opts.ContentType, partSize: opts.PartSize, temp: t, parts: map[int]objstore.Part{}}
		return nil
	})
	return id, err
}

// find gives an upload that is not ended. Error: lost.
func (b *Bucket) find(key, id string) (*upload, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.uploads[id]; u != nil && u.key == key {
		return u, nil
	}
	return nil, errLost()
}

func errLost() error { return domain.Errorf(domain.KindLost, "the upload is gone") }

// PutPart writes part n, 1 to objstore.MaxParts, in any order. A part whose CRC-32 is not sum is
// refused as store_fault. A part written again replaces the former one. Errors also: lost,
// invalid, unavailable.
func (b *Bucket) PutPart(ctx context.Context, key, id string, n int, data []byte, sum uint32) (part objstore.Part, err error) {
	err = b.onKey(ctx, call{"upload_part", "upload a part of", key}, func(string) error {
		u, err := b.find(key, id)
		switch {
		case n < 1 || n > objstore.MaxParts:
			return domain.Errorf(domain.KindInvalid, "there is no part %d", n)
		case err != nil:
			return err
		case int64(len(data)) > u.partSize:
			return domain.Errorf(domain.KindInvalid, "part %d has %d bytes, and the upload was told of %d", n, len(data), u.partSize)
		case crc32.ChecksumIEEE(data) != sum:
			return domain.Errorf(domain.KindStoreFault, "the bytes have another CRC-32")
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.ended {
			return errLost()
		}
		delete(u.parts, n) // a write that fails leaves bytes of both
		from := int64(n-1) * u.partSize
		if _, err := u.temp.file.WriteAt(data, from); err != nil {
			return err
		}
		writeBack(u.temp.file, from, int64(len(data)))
		part = objstore.Part{Number: n, ETag: fmt.Sprintf("%08x", sum), CRC32: sum, Size: int64(len(data))}
		u.parts[n] = part
		return nil
	})
	return part, err
}

// Complete publishes an upload's parts, given in any order, as one object and returns its ETag.
// Errors: conflict, lost (aborted, completed already, or its sync has failed), store_fault (a part
// that is missing, of another size, or not as it was written), unavailable.
func (b *Bucket) Complete(ctx context.Context, key, id string, parts []objstore.Part, opts objstore.CompleteOptions) (etag string, err error) {
	err = b.onKey(ctx, call{"complete_upload", "publish", key}, func(name string) error {
		u, err := b.find(key, id)
		if err != nil {
			return err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.ended {
			return errLost()
		}
		size, sum, err := u.checkParts(parts)
		if err != nil {
			return err
		}
		if err := u.temp.file.Truncate(size); err != nil { // a part may have been longer before
			return err
		}
		maps.DeleteFunc(u.parts, func(n int, _ objstore.Part) bool { return n > len(parts) }) // they are cut off
		if etag, err = b.publish(ctx, u.temp, name, info{Key: key, ContentType: u.contentType, CRC32: &sum}, opts.IfNoneMatch); u.temp.final {
			b.end(id, u)
		}
		return err
	})
	return etag, err
}

// checkParts checks that the parts are the object's bytes without gap or overlap, and gives the
// object's size and CRC-32. The caller holds mu.
func (u *upload) checkParts(parts []objstore.Part) (size int64, sum uint32, err error) {
	ordered := slices.SortedFunc(slices.Values(parts), func(x, y objstore.Part) int { return cmp.Compare(x.Number, y.Number) })
	for i, p := range ordered {
		last := i == len(ordered)-1
		if p.Number != i+1 || u.parts[p.Number] != p || !last && p.Size != u.partSize {
			return 0, 0, domain.Errorf(domain.KindStoreFault, "its parts are not one object: part %d of %d is missing, of another size, or not as it was written", i+1, len(ordered))
		}
		sum = domain.CombineCRC32(sum, p.CRC32, p.Size)
		size += p.Size
	}
	if len(ordered) == 0 {
		return 0, 0, domain.Errorf(domain.KindStoreFault, "an upload needs at least one part")
	}
	return size, sum, nil
}

// end forgets an upload. The caller holds mu.
func (b *Bucket) end(id string, u *upload) {
	u.ended = true
	u.temp.remove()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.uploads, id)
}

// Abort ends an upload and removes its parts. An upload that does not exist is no error.
func (b *Bucket) Abort(ctx context.Context, key, id string) error {
	return b.onKey(ctx, call{"abort_upload", "abort the upload of", key}, func(string) error {
		if u, err := b.find(key, id); err == nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			b.end(id, u)
		}
		return nil
	})
}

// AbortAll ends every upload of exactly this key in this process. Uploads of other processes end
// with those.
func (b *Bucket) AbortAll(ctx context.Context, key string) error {
	b.mu.Lock()
	uploads := maps.Clone(b.uploads)
	b.mu.Unlock()
	for id, u := range uploads {
		if u.key != key {
			continue
		}
		if err := b.Abort(ctx, key, id); err != nil {
			return err
		}
	}
	return nil
}
