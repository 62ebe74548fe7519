package dir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// info is the content of a side file: what is known of the file beside it.
type info struct {
	Key         string  `json:"key"`
	ETag        string  `json:"etag"`
	CRC32       *uint32 `json:"crc32,omitempty"`
	ContentType string  `json:"contentType,omitempty"`
	identity
}

// identity is what changes when a file is replaced or edited.
type identity struct {
	Inode    uint64 `json:"inode"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds
}

func identityOf(file fs.FileInfo) identity {
	id := identity{Size: file.Size(), Modified: file.ModTime().UnixNano()}
	if stat, ok := file.Sys().(*syscall.Stat_t); ok {
		id.Inode = stat.Ino
	}
	return id
}

// newInfo describes a file. Its ETag differs from that of other bytes that had this name.
func newInfo(key, contentType string, sum uint32, id identity) info {
	return info{Key: key, ETag: fmt.Sprintf("%08x-%x-%x", sum, id.Size, id.Modified), CRC32: &sum, ContentType: contentType, identity: id}
}

func (i info) public(file fs.FileInfo) objstore.Info {
	return objstore.Info{Size: i.Size, ETag: i.ETag, ContentType: i.ContentType, LastModified: file.ModTime(), CRC32: i.CRC32}
}

// errOther says that the file belongs to another key, which the disk does not tell from this one.
var errOther = fmt.Errorf("the disk does not tell this key from another one: %w", fs.ErrNotExist)

// object opens a key's file. Error: fs.ErrNotExist.
func (b *Bucket) object(ctx context.Context, name, key string) (*os.File, objstore.Info, error) {
	// O_NONBLOCK: if somebody has put a pipe there, opening it must not wait.
	file, err := b.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	stat, err := file.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	var in info
	if err == nil {
		in, err = b.describe(ctx, file, stat, name, key)
	}
	if err != nil {
		return nil, objstore.Info{}, errors.Join(err, file.Close())
	}
	return file, in.public(stat), nil
}

// describe reads the side file of an open file. It makes a new one when that is missing, or is
// about other bytes.
func (b *Bucket) describe(ctx context.Context, file *os.File, stat fs.FileInfo, name, key string) (info, error) {
	former, err := b.ownInfo(name, key)
	if err != nil {
		return info{}, err
	}
	if former != nil && former.identity == identityOf(stat) {
		return *former, nil
	}
	hash := crc32.NewIEEE()
	if _, err := io.Copy(hash, &body{ctx, file, 0, stat.Size()}); err != nil {
		return info{}, err
	}
	made := newInfo(key, objstore.ContentTypeOf(key), hash.Sum32(), identityOf(stat))
	if former != nil {
		made.ContentType = former.ContentType
		if former.Size == made.Size && former.CRC32 != nil && *former.CRC32 == *made.CRC32 {
			made.ETag = former.ETag // moved, or restored from a backup
		}
	}
	if now, err := file.Stat(); err != nil || identityOf(now) != made.identity {
		return info{}, errors.Join(domain.Errorf(domain.KindUnavailable, "the file changes while it is read"), err)
	}
	return b.save(ctx, name, made), nil
}

// ownInfo reads the side file of a key's file; nil when there is none. Error: errOther.
func (b *Bucket) ownInfo(name, key string) (*info, error) {
	in, err := b.readInfo(name)
	own := in != nil && in.Key == key
	if err == nil && in == nil {
		own, err = b.exact(name)
	}
	if err == nil && !own {
		err = errOther
	}
	return in, err
}

// readInfo reads a side file; nil when there is none, or only part of one.
func (b *Bucket) readInfo(name string) (*info, error) {
	text, err := b.root.ReadFile(name + infoSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, err
	}
	var in info
	torn := json.Unmarshal(text, &in)
	if torn != nil || in.Key == "" {
		return nil, nil //nolint:nilerr // a crash has left a part of it
	}
	return &in, nil
}

// save writes a side file that was made from a file's bytes. If the object's writer has published
// its own meanwhile, that one stays and is returned. A side file that can't be written, because the
// disk is full for example, is made at the next call.
func (b *Bucket) save(ctx context.Context, name string, made info) info {
	if b.cfg.ReadOnly {
		return made
	}
	held, err := b.openLocked(ctx, name, 0)
	if err != nil {
		return made
	}
	defer held.Close()
	if now, err := b.readInfo(name); err == nil && now != nil && now.identity == made.identity {
		return *now
	}
	if stat, err := held.Stat(); err != nil || identityOf(stat) != made.identity {
		return made // the name is another object's by now
	}
	if t, err := b.infoTemp(made); err == nil {
		_ = t.rename(name + infoSuffix)
		t.remove()
	}
	return made
}

// exact says whether a file has exactly this name, also on a disk that ignores case or the spelling
// of accents. It is called only for files without a side file.
func (b *Bucket) exact(name string) (bool, error) {
	for ; name != "."; name = path.Dir(name) {
		folder, err := b.root.Open(path.Dir(name))
		if err != nil {
			return false, err
		}
		names, err := folder.Readdirnames(-1)
		if err := errors.Join(err, folder.Close()); err != nil {
			return false, err
		}
		if !slices.Contains(names, path.Base(name)) {
			return false, nil
		}
	}
	return true, nil
}
