package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	path string
	info partInfo
	file *os.File
	at   int64 // bytes so far
}

// openPart opens the partial file of the link's archive. It drops bytes of another revision, and
// bytes without an ETag, since the server could continue them with other ones.
func openPart(path string, l Link) (*part, error) {
	p := &part{path: path, info: partInfo{Revision: l.Revision, SizeBytes: l.SizeBytes, ManifestSHA256: l.ManifestSHA256}}
	var left partInfo
	body, err := os.ReadFile(path + ".json") //nolint:gosec // made from a directory that the user names and an hour
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the partial file: %w", err)
	}
	known := err == nil && json.Unmarshal(body, &left) == nil
	etag := left.ETag
	left.ETag = ""
	if p.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil { //nolint:gosec // as above
		return nil, fmt.Errorf("open the partial file: %w", err)
	}
	info, err := p.file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the partial file: %w", err), p.file.Close())
	}
	if known && left == p.info && etag != "" && info.Size() <= l.SizeBytes {
		p.info.ETag, p.at = etag, info.Size()
		return p, nil
	}
	if err := p.drop(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// drop deletes the bytes.
func (p *part) drop() error {
	p.at, p.info.ETag = 0, ""
	if err := p.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the partial file: %w", err)
	}
	if err := removeIfExists(p.path + ".json"); err != nil {
		return fmt.Errorf("empty the partial file: %w", err)
	}
	return nil
}

// begin writes the partInfo before the first byte. Without an ETag a later run can't resume.
func (p *part) begin(etag string) error {
	p.info.ETag = etag
	body, err := json.Marshal(p.info)
	if err == nil {
		err = writeFile(p.path+".json", body)
	}
	if err != nil {
		return fmt.Errorf("note what the partial file is of: %w", err)
	}
	return nil
}

// Write appends b.
func (p *part) Write(b []byte) (int, error) {
	if int64(len(b)) > p.info.SizeBytes-p.at {
		return 0, errTooLong
	}
	n, err := p.file.WriteAt(b, p.at)
	p.at += int64(n)
	if err != nil {
		return n, fmt.Errorf("write the partial file: %w", err)
	}
	return n, nil
}

// publish renames the partial file to the archive.
func (p *part) publish(path string) error {
	if err := publishFile(p.file, nil, path); err != nil {
		return fmt.Errorf("put the archive in place: %w", err)
	}
	if err := removeIfExists(p.path + ".json"); err != nil {
		return fmt.Errorf("put the archive in place: %w", err)
	}
	return nil
}

// removePart removes a partial file that is not needed any more.
func removePart(path string) error {
	return errors.Join(removeIfExists(path), removeIfExists(path+".json"))
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
