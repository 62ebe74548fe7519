package dir

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/callvault/callvault/internal/domain"
)

// Former programs kept the buckets in a folder of their own, and an object's ETag, sums and
// content type in extended attributes, or in another folder where the disk has none.
const (
	formerObjects    = "objects"
	formerAttributes = "attributes"
	formerFolder     = "%former" // both are moved here first: a bucket may have their names
)

// enoattr is what macOS calls ENODATA.
const enoattr = syscall.Errno(93)

// maxAttribute bounds what is read of one attribute, in bytes.
const maxAttribute = 64 << 10

// TakeOver makes buckets in path of those that a former program has left there: it renames the
// files and keeps their ETags and content types. If the process is killed, the next call continues.
// Only the process that has locked the data directory may call it, before it opens a bucket. It
// calls begin before its first change. Error: unavailable.
func TakeOver(path string, begin func()) error {
	switch err := takeOverBy(path, sync.OnceFunc(begin)); {
	case errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EBUSY):
		return domain.Wrap(domain.KindUnavailable, err, "the object store of a former version in %s can't be taken over, because a part of it is on another disk; copy that part to the disk of %s, with its extended attributes, and put the copy in its place", path, path)
	case err != nil:
		return domain.Wrap(domain.KindUnavailable, err, "the object store of a former version in %s can't be taken over", path)
	}
	return nil
}

// takeOverBy is TakeOver. It calls step before each change of the disk, for tests.
func takeOverBy(path string, step func()) error {
	former := filepath.Join(path, formerFolder)
	for _, name := range []string{formerObjects, formerAttributes} {
		from, to := filepath.Join(path, name), filepath.Join(former, name)
		stat, err := os.Lstat(from)
		if errors.Is(err, fs.ErrNotExist) || exists(filepath.Join(from, tempFolder)) || exists(to) {
			continue // it does not exist, or is a bucket already
		}
		if err != nil {
			return err
		}
		if !stat.IsDir() {
			return errNoFile(from)
		}
		step()
		if err := errors.Join(MakeFolder(former), os.Rename(from, to), syncFolder(path)); err != nil {
			return err
		}
	}
	buckets, err := os.ReadDir(filepath.Join(former, formerObjects))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, b := range buckets {
		if strings.HasPrefix(b.Name(), ".") { // the former program's own
			continue
		}
		if !b.IsDir() {
			return errNoFile(filepath.Join(former, formerObjects, b.Name()))
		}
		if err := takeBucket(path, b.Name(), step); err != nil {
			return err
		}
	}
	if !exists(former) {
		return nil
	}
	step()
	unix.Sync() // all new names are on disk before the former ones and the attributes are removed
	return os.RemoveAll(former)
}

func errNoFile(path string) error {
	return domain.Errorf(domain.KindUnavailable, "%s is neither a file of a bucket nor a folder; put its content there, or move it away", path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// takeBucket takes one bucket over. All side files are on disk before the first file is renamed.
func takeBucket(path, name string, step func()) error {
	from, to := filepath.Join(path, formerFolder, formerObjects, name), filepath.Join(path, name)
	attributes := filepath.Join(path, formerFolder, formerAttributes, name)
	step()
	if err := MakeFolder(filepath.Join(to, tempFolder)); err != nil {
		return err
	}
	err := eachFormer(from, func(key, file string, stat fs.FileInfo) error {
		in, err := formerInfo(file, filepath.Join(attributes, key), key, stat)
		if err != nil || in == nil {
			return err
		}
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		step()
		side := filepath.Join(to, encode(key)+infoSuffix)
		return errors.Join(os.MkdirAll(filepath.Dir(side), 0o700), os.WriteFile(side, text, 0o600))
	})
	if err != nil {
		return err
	}
	unix.Sync()
	return eachFormer(from, func(key, file string, _ fs.FileInfo) error {
		step()
		name := filepath.Join(to, encode(key))
		return errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.Rename(file, name))
	})
}

// eachFormer visits the objects of a former bucket.
func eachFormer(bucket string, visit func(key, file string, stat fs.FileInfo) error) error {
	return filepath.WalkDir(bucket, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case file == filepath.Join(bucket, ".sgwtmp"): // unfinished uploads
			return fs.SkipDir
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return errNoFile(file)
		}
		key, err := filepath.Rel(bucket, file)
		if err != nil {
			return err
		}
		stat, err := d.Info()
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(key), file, stat)
	})
}

// formerInfo makes the content of a side file from an object's attributes; nil when these have no
// ETag.
func formerInfo(file, attributes, key string, stat fs.FileInfo) (*info, error) {
	values := map[string][]byte{}
	for _, name := range []string{"etag", "content-type", "checksums"} {
		value, err := attribute(file, attributes, name)
		if err != nil {
			return nil, err
		}
		values[name] = value
	}
	etag := strings.Trim(string(values["etag"]), `"`)
	if etag == "" {
		return nil, nil // the side file is made from the bytes later
	}
	in := &info{Key: key, ETag: etag, ContentType: string(values["content-type"]), identity: identityOf(stat)}
	var sums struct {
		Type  string
		CRC32 []byte // of base64
	}
	if json.Unmarshal(values["checksums"], &sums) == nil && sums.Type == "FULL_OBJECT" && len(sums.CRC32) == 4 {
		sum := binary.BigEndian.Uint32(sums.CRC32)
		in.CRC32 = &sum
	}
	return in, nil
}

// attribute reads one of an object's attributes; nil when there is none of this name.
func attribute(file, attributes, name string) ([]byte, error) {
	value, err := os.ReadFile(filepath.Join(attributes, "meta", name)) //nolint:gosec // below the data directory
	if !errors.Is(err, fs.ErrNotExist) {
		return value, err
	}
	value = make([]byte, maxAttribute)
	n, err := unix.Getxattr(file, "user."+name, value)
	if slices.Contains([]error{unix.ENODATA, unix.ENOTSUP, enoattr}, err) {
		return nil, nil
	}
	return value[:max(n, 0)], err
}
