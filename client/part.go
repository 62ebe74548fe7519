package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
)

// partInfo identifies the archive of a partial file.
type partInfo struct {
	Revision       int64  `json:"revision"`
	SizeBytes      int64  `json:"sizeBytes"`
	ManifestSHA256 string `json:"manifestSha256"`
	ETag           string `json:"etag"` // strong and quoted, or ""
}

// part is a partial file: HH.zip.part with the bytes so far, and HH.zip.part.json with its
// partInfo, which is written before the first byte.
type part struct {
	root *os.Root
	name string
	info partInfo
	file *os.File
	at   atomic.Int64 // bytes so far
}

// openPart opens the partial file of the link's archive. It drops bytes of another revision, and
// bytes without an ETag, since the server could continue them with other ones.
func openPart(root *os.Root, name string, l Link) (*part, error) {
	p := &part{root: root, name: name, info: partInfo{Revision: l.Revision, SizeBytes: l.SizeBytes, ManifestSHA256: l.ManifestSHA256}}
	etag, size, err := p.resume()
	if err != nil {
		return nil, fmt.Errorf("open the partial file: %w", err)
	}
	if p.file != nil {
		p.info.ETag = etag
		p.at.Store(size)
		return p, nil
	}
	if p.file, err = createFile(root, name); err != nil {
		return nil, fmt.Errorf("open the partial file: %w", err)
	}
	if err := p.drop(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// resume opens a partial file that can be continued; else file stays nil.
func (p *part) resume() (etag string, size int64, err error) {
	var left partInfo
	body, err := readFile(p.root, p.name+".json")
	if err != nil || json.Unmarshal(body, &left) != nil || left.ETag == "" {
		return "", 0, nil //nolint:nilerr // without the note the bytes can't be continued, whatever the reason
	}
	etag = left.ETag
	left.ETag = ""
	if left != p.info {
		return "", 0, nil
	}
	file, err := openFile(p.root, p.name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotPlain) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	info, err := file.Stat()
	if err != nil || linked(info) || info.Size() > p.info.SizeBytes {
		return "", 0, errors.Join(err, file.Close())
	}
	p.file = file
	return etag, info.Size(), nil
}

// left returns how many bytes are missing.
func (p *part) left() int64 { return p.info.SizeBytes - p.at.Load() }

// drop deletes the bytes.
func (p *part) drop() error {
	p.info.ETag = ""
	p.at.Store(0)
	if err := p.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the partial file: %w", err)
	}
	if err := removeIfExists(p.root, p.name+".json"); err != nil {
		return fmt.Errorf("empty the partial file: %w", err)
	}
	return nil
}

// begin writes the partInfo before the first byte. Without an ETag a later run can't resume.
func (p *part) begin(etag string) error {
	p.info.ETag = etag
	body, err := json.Marshal(p.info)
	if err == nil {
		err = writeFile(p.root, p.name+".json", body)
	}
	if err != nil {
		return fmt.Errorf("note what the partial file is of: %w", err)
	}
	return nil
}

// Write appends b.
func (p *part) Write(b []byte) (int, error) {
	if int64(len(b)) > p.left() {
		return 0, errTooLong
	}
	n, err := p.file.WriteAt(b, p.at.Load())
	p.at.Add(int64(n))
	if err != nil {
		return n, fmt.Errorf("write the partial file: %w", err)
	}
	return n, nil
}

// publish renames the partial file to the archive.
func (p *part) publish(name string) error {
	if err := publishFile(p.root, p.file, nil, p.name, name); err != nil {
		return fmt.Errorf("put the archive in place: %w", err)
	}
	if err := removeIfExists(p.root, p.name+".json"); err != nil {
		return fmt.Errorf("put the archive in place: %w", err)
	}
	return nil
}

// removePart removes a partial file that is not needed any more.
func removePart(root *os.Root, name string) error {
	return errors.Join(removeIfExists(root, name), removeIfExists(root, name+".json"))
}
