package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// partOf says which archive a partial file is of.
type partOf struct {
	Revision       int64  `json:"revision"`
	SizeBytes      int64  `json:"sizeBytes"`
	ManifestSHA256 string `json:"manifestSha256"`
	ETag           string `json:"etag"` // strong and quoted, or ""
}

// part is HH.zip.part, the archive's bytes so far, beside HH.zip.part.json,
// which is written before the first of them.
type part struct {
	path string
	of   partOf
	file *os.File
	at   int64 // bytes so far
}

// openPart opens what an earlier attempt left of the link's archive. Bytes of
// another revision, or ones that could not be continued safely, are dropped.
func openPart(path string, l Link) (*part, error) {
	p := &part{path: path, of: partOf{Revision: l.Revision, SizeBytes: l.SizeBytes, ManifestSHA256: l.ManifestSHA256}}
	var left partOf
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
	if known && left == p.of && etag != "" && info.Size() <= l.SizeBytes {
		p.of.ETag, p.at = etag, info.Size()
		return p, nil
	}
	if err := p.drop(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// drop forgets the bytes.
func (p *part) drop() error {
	p.at, p.of.ETag = 0, ""
	if err := p.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the partial file: %w", err)
	}
	if err := removeIfThere(p.path + ".json"); err != nil {
		return fmt.Errorf("empty the partial file: %w", err)
	}
	return nil
}

// begin notes which bytes follow. An archive without ETag can't be continued by
// a later run.
func (p *part) begin(etag string) error {
	p.of.ETag = etag
	body, err := json.Marshal(p.of)
	if err == nil {
		err = writeFile(p.path+".json", body)
	}
	if err != nil {
		return fmt.Errorf("note what the partial file is of: %w", err)
	}
	return nil
}

// Write appends.
func (p *part) Write(b []byte) (int, error) {
	if int64(len(b)) > p.of.SizeBytes-p.at {
		return 0, errTooLong
	}
	n, err := p.file.WriteAt(b, p.at)
	p.at += int64(n)
	if err != nil {
		return n, fmt.Errorf("write the partial file: %w", err)
	}
	return n, nil
}

// publish makes the partial file the archive.
func (p *part) publish(path string) error {
	if err := place(p.file, nil, path); err != nil {
		return fmt.Errorf("put the archive in place: %w", err)
	}
	if err := removeIfThere(p.path + ".json"); err != nil {
		return fmt.Errorf("put the archive in place: %w", err)
	}
	return nil
}

// removePart clears away what is left of a download that is not needed any more.
func removePart(path string) error {
	return errors.Join(removeIfThere(path), removeIfThere(path+".json"))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
