package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/client/dayseal"
)

// Bounds of what is read at once.
const (
	maxManifest = 32 << 20
	maxSmall    = 1 << 20
	maxLine     = 8 << 20
	maxProblems = 1000
)

// Problem is one thing that is wrong with a pack.
type Problem struct {
	File string `json:"file"`
	Line int64  `json:"line,omitempty"` // from 1; 0 when it is about the whole file
	Text string `json:"text"`           // a sentence
}

// String has the place and the text.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%q: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%q line %d: %s", p.File, p.Line, p.Text)
}

// Report is the result of checking a pack.
type Report struct {
	Path         string    `json:"path"`
	Tenant       string    `json:"tenant"`
	From         string    `json:"from"`
	To           string    `json:"to"`
	Log          string    `json:"log"` // its name
	Lines        int64     `json:"lines"`
	Seals        int64     `json:"seals"`
	Files        int       `json:"files"`
	Archives     int       `json:"archives"`           // of the files
	Unplaced     int64     `json:"unplaced,omitempty"` // lines and seals that had no number in the log when the pack was made
	Unsealed     int64     `json:"unsealed,omitempty"` // archives that no seal of the pack names, as its manifest says
	LogSize      int64     `json:"logSize"`            // leaves of the checkpoint
	Proven       bool      `json:"proven"`             // the checkpoint is signed by one of the keys
	Problems     []Problem `json:"problems"`           // the first thousand
	MoreProblems int       `json:"moreProblems,omitempty"`
}

// OK reports whether nothing is wrong. Without keys nothing is proven, which is no problem here.
func (r *Report) OK() bool { return len(r.Problems)+r.MoreProblems == 0 }

func (r *Report) add(file string, line int64, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.MoreProblems++
		return
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > 1024 {
		text = strings.ToValidUTF8(text[:1024], "") + "…"
	}
	r.Problems = append(r.Problems, Problem{File: file, Line: line, Text: text})
}

// Kind and Version are what a manifest begins with.
const (
	Kind    = "callvault-evidence"
	Version = 1
)

// Manifest is manifest.json.
type Manifest struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	Tenant  string `json:"tenant"`
	From    string `json:"from"`
	To      string `json:"to"`
	Log     string `json:"log"` // its name, as in its keys
	MadeAt  string `json:"madeAt"`
	// Unplaced counts lines and seals that had no number in the log yet and are not in the pack.
	Unplaced int64  `json:"unplaced"`
	Files    []File `json:"files"`
}

// File is a file of data in the manifest.
type File struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	Lines  int64  `json:"lines,omitempty"` // of NDJSON
	// Unsealed says of an archive that no seal of the pack names it, because its day was not sealed
	// with it.
	Unsealed bool `json:"unsealed,omitempty"`
}

// IsPack reports whether a directory is an evidence pack.
func IsPack(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	text, err := readSmall(root, "manifest.json", maxManifest)
	var m Manifest
	return errors.Join(err, root.Close()) == nil && json.Unmarshal(text, &m) == nil && m.Kind == Kind
}

// checker checks one pack.
type checker struct {
	ctx      context.Context
	root     *os.Root
	keys     dayseal.Keys
	report   *Report
	manifest Manifest
	sum      string // hex, SHA-256 of manifest.json
	tree     tlog.HashReader
	cache    map[int64][]tlog.Hash // leaves of some tiles
	sealed   map[string]bool       // archives that proven seals name: day, hour and manifest
}

// Verify checks the pack in a directory. Without keys the checkpoint is only checked by the pack's
// own list of keys, and so nothing is proven. The report has the problems of the pack; the error is
// only about reading, or that of ctx.
func Verify(ctx context.Context, dir string, keys dayseal.Keys) (Report, error) {
	report := Report{Path: dir, Problems: []Problem{}}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return report, fmt.Errorf("verify: %w", err)
	}
	c := &checker{ctx: ctx, root: root, keys: keys, report: &report, cache: map[int64][]tlog.Hash{}, sealed: map[string]bool{}}
	if err := errors.Join(c.run(), root.Close()); err != nil {
		return report, fmt.Errorf("verify %s: %w", dir, err)
	}
	return report, nil
}

func (c *checker) run() error {
	text, err := readSmall(c.root, "manifest.json", maxManifest)
	if err != nil {
		return err
	}
	if known := json.Unmarshal(text, &c.manifest) == nil && c.manifest.Kind == Kind && c.manifest.Version == Version; !known {
		c.report.add("manifest.json", 0, "It is not the manifest of a pack that this version knows.")
		return nil
	}
	sum := sha256.Sum256(text)
	m := &c.manifest
	c.sum = hex.EncodeToString(sum[:])
	c.report.Tenant, c.report.From, c.report.To, c.report.Log, c.report.Files, c.report.Unplaced = m.Tenant, m.From, m.To, m.Log, len(m.Files), m.Unplaced
	if !c.openTree() {
		return c.ctx.Err()
	}
	c.checkExport()
	for i := range m.Files {
		if err := c.checkFile(&m.Files[i]); err != nil {
			return err
		}
	}
	return c.checkStrays()
}

// openTree reads the checkpoint, and checks its signature if there are keys.
func (c *checker) openTree() bool {
	const name = "checkpoint.txt"
	signed, err := readSmall(c.root, name, maxSmall)
	if err != nil {
		c.report.add(name, 0, "It cannot be read (%v), so nothing proves the pack.", err)
		return false
	}
	var head torchwood.Checkpoint
	if c.keys != nil {
		head, err = c.keys.OpenCheckpoint(signed)
		c.report.Proven = err == nil
	} else {
		text, _, _ := strings.Cut(string(signed), "\n\n")
		head, err = torchwood.ParseCheckpoint(text + "\n")
	}
	if err != nil {
		c.report.add(name, 0, "It is no checkpoint of the log: %v.", err)
		return false
	}
	if head.Origin != c.manifest.Log {
		c.report.add(name, 0, "It is of the log %.70q; the manifest names %.70q.", head.Origin, c.manifest.Log)
		return false
	}
	if err := c.signatures(signed); err != nil {
		c.report.add(name, 0, "It was changed, or log-keys.txt was: %v.", err)
	}
	c.report.LogSize = head.N
	c.tree = tlog.TileHashReader(head.Tree, tiles{c.root})
	return true
}

// signatures wants all signatures of a checkpoint to be right, by the pack's own list of keys: the
// keys that the reader trusts may be only one of those that have signed.
func (c *checker) signatures(signed []byte) error {
	text, err := readSmall(c.root, "log-keys.txt", maxSmall)
	if err != nil {
		return err
	}
	keys, err := dayseal.ParseKeys(text)
	if err != nil {
		return err
	}
	if _, err := keys.OpenCheckpoint(signed); err != nil {
		return err
	}
	n, err := note.Open(signed, note.VerifierList(keys...))
	if err == nil && len(n.UnverifiedSigs) > 0 {
		err = errors.New("one of the signatures is of another key")
	}
	return err
}

// checkExport checks that the log has the line that names the manifest.
func (c *checker) checkExport() {
	const name = "export.json"
	text, err := readSmall(c.root, name, maxSmall)
	var l Line
	if err != nil || json.Unmarshal(text, &l) != nil {
		c.report.add(name, 0, "It is not the audit line of the pack, so nothing proves which files belong to it.")
		return
	}
	var detail struct {
		Manifest string `json:"manifest"`
	}
	switch fault := c.leafFault(l.Leaf, l.leaf()); {
	case fault != "":
		c.report.add(name, 0, "%s", fault)
	case !written(&l, text):
		c.report.add(name, 0, "It was changed: it is not written as callvault evidence writes it.")
	case l.Tenant != c.manifest.Tenant || l.Action != "evidence.export" || json.Unmarshal([]byte(l.Detail), &detail) != nil:
		c.report.add(name, 0, "It is not the audit line of a pack of %.70q.", c.manifest.Tenant)
	case detail.Manifest != c.sum:
		c.report.add("manifest.json", 0, "It is not the manifest that the pack was made with: files of the pack were exchanged, or their lines.")
	}
}

// written reports whether a text is exactly what a pack has of its own line: the leaf covers
// neither its place in the pack nor how its keys are written.
func written(l *Line, text []byte) bool {
	want, err := json.Marshal(l)
	return err == nil && l.N == 1 && bytes.Equal(append(want, '\n'), text)
}

// checkStrays names files that are not of the pack.
func (c *checker) checkStrays() error {
	known := map[string]bool{"manifest.json": true, "export.json": true, "checkpoint.txt": true}
	for i := range c.manifest.Files {
		known[c.manifest.Files[i].Name] = true
	}
	return fs.WalkDir(c.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case err != nil:
			c.report.add(name, 0, "It cannot be read: %v.", err)
		case entry.IsDir() && name == "tile":
			return fs.SkipDir // each tile that is used is checked by the checkpoint, and the others prove nothing
		case !entry.IsDir() && !known[name]:
			c.report.add(name, 0, "It is no file of the pack.")
		}
		return nil
	})
}

// open opens a regular file below the root, and follows no link out of it.
func open(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(path.Clean(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no regular file"), f.Close())
	}
	return f, nil
}

func readSmall(root *os.Root, name string, most int64) ([]byte, error) {
	f, err := open(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return text, err
}
