package evidence

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"github.com/dustin/go-humanize/english"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/client/verify"
)

// Line is a line of lines.ndjson. The leaf of the log is that of its columns and salt; see
// docs/audit.md.
type Line struct {
	N         int64  `json:"n"`    // from 1, without gaps
	Leaf      int64  `json:"leaf"` // number of the leaf
	Salt      string `json:"salt"`
	Seq       int64  `json:"seq"`
	AtUS      int64  `json:"atUs"`
	Tenant    string `json:"tenant"`
	Actor     string `json:"actor"`
	Action    string `json:"action"`
	Detail    string `json:"detail"`              // as stored
	Links     string `json:"links,omitempty"`     // hex, SHA-256 of linksText
	LinksText string `json:"linksText,omitempty"` // as stored
}

// Seal is a line of seals.ndjson.
type Seal struct {
	N    int64  `json:"n"`    // from 1, without gaps
	Leaf int64  `json:"leaf"` // number of the leaf
	Data string `json:"data"` // of the leaf: the seal without proof
}

// leaf gives the hash of the line's leaf: netstrings of the version, the salt and the columns.
func (l *Line) leaf() tlog.Hash {
	var data []byte
	for _, s := range [...]string{
		"callvault-audit-line-v1", l.Salt, strconv.FormatInt(l.Seq, 10), strconv.FormatInt(l.AtUS, 10), l.Tenant, l.Actor, l.Action, l.Detail, l.Links,
	} {
		data = append(strconv.AppendInt(data, int64(len(s)), 10), ':')
		data = append(append(data, s...), ',')
	}
	return tlog.RecordHash(data)
}

// checkFile checks a file of data: its bytes by the manifest, and its lines by the log.
func (c *checker) checkFile(f *File) error {
	in, err := open(c.root, f.Name)
	if err != nil {
		c.report.add(f.Name, 0, "It cannot be read: %v.", err)
		return nil
	}
	defer in.Close()
	if strings.HasPrefix(f.Name, "archives/") {
		if err := c.checkArchive(f, in); err != nil {
			return err
		}
	}
	sha := sha256.New()
	counted := &reader{ctx: c.ctx, r: io.TeeReader(in, sha)}
	var check func(n int64, text []byte)
	switch f.Name {
	case "lines.ndjson":
		check = c.lineChecker()
	case "seals.ndjson":
		check = c.sealChecker()
	}
	lines := int64(0)
	if strings.HasSuffix(f.Name, ".ndjson") {
		scan := bufio.NewScanner(counted)
		scan.Buffer(make([]byte, 64<<10), maxLine)
		for scan.Scan() {
			if lines++; check != nil {
				check(lines, scan.Bytes())
			}
		}
		err = scan.Err()
	}
	if errors.Is(err, bufio.ErrTooLong) {
		c.report.add(f.Name, lines+1, "The line is too long.")
		err = nil
	}
	if err == nil {
		_, err = io.Copy(io.Discard, counted)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	switch sum := hex.EncodeToString(sha.Sum(nil)); {
	case lines != f.Lines:
		c.report.add(f.Name, 0, "It has %s; the manifest names %d.", english.Plural(int(lines), "line", ""), f.Lines)
	case counted.n != f.Bytes:
		c.report.add(f.Name, 0, "It has %s; the manifest names %d.", english.Plural(int(counted.n), "byte", ""), f.Bytes)
	case sum != f.SHA256:
		c.report.add(f.Name, 0, "It was changed: its SHA-256 is not the one that the manifest names.")
	}
	return nil
}

// checkArchive checks a copied archive, and that a seal of the pack names it, unless the manifest
// says that none does. The manifest lists the seals before the archives.
func (c *checker) checkArchive(f *File, in *os.File) error {
	name := f.Name
	c.report.Archives++
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	r, err := verify.Reader(c.ctx, in, info.Size())
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, p := range r.Problems {
		c.report.add(name, 0, "%s", p)
	}
	switch {
	case !r.OK() || c.sealed[r.UTCDay+" "+r.Hour+" "+r.ManifestSHA256]:
	case f.Unsealed:
		c.report.Unsealed++
	default:
		c.report.add(name, 0, "No seal of the pack names this archive.")
	}
	return nil
}

// order checks that each line stands there once, and in its order. Its text says what is wrong with
// the number of a line; "" when it is the next one.
func order(next *int64, n int64) (fault string) {
	switch {
	case n == *next:
	case n > *next+1:
		fault = fmt.Sprintf("Lines %d to %d of the pack are missing before it.", *next, n-1)
	case n == *next+1:
		fault = fmt.Sprintf("Line %d of the pack is missing before it.", *next)
	default:
		return fmt.Sprintf("It is line %d of the pack, which stands there twice or was moved.", n)
	}
	*next = n + 1
	return fault
}

// lineChecker returns what checks lines of the audit log one after the other.
func (c *checker) lineChecker() func(n int64, text []byte) {
	const name = "lines.ndjson"
	next, at, seq := int64(1), int64(-1<<63), int64(0)
	return func(n int64, text []byte) {
		c.report.Lines++
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			c.report.add(name, n, "It is no line of a pack: %v.", err)
			next++
			return
		}
		if fault := order(&next, l.N); fault != "" {
			c.report.add(name, n, "%s", fault)
		}
		if l.AtUS < at || l.AtUS == at && l.Seq <= seq {
			c.report.add(name, n, "It stands behind a later line, or twice.")
		}
		at, seq = l.AtUS, l.Seq
		if l.Tenant != c.manifest.Tenant {
			c.report.add(name, n, "It is a line of %.70q.", l.Tenant)
		}
		if fault := c.leafFault(l.Leaf, l.leaf()); fault != "" {
			c.report.add(name, n, "%s", fault)
		}
		sum := sha256.Sum256([]byte(l.LinksText))
		if l.Links != "" && hex.EncodeToString(sum[:]) != l.Links || l.Links == "" && l.LinksText != "" {
			c.report.add(name, n, "linksText is not what the line names.")
		}
	}
}

// sealChecker returns what checks seals one after the other.
func (c *checker) sealChecker() func(n int64, text []byte) {
	const name = "seals.ndjson"
	next := int64(1)
	return func(n int64, text []byte) {
		c.report.Seals++
		var s Seal
		if err := json.Unmarshal(text, &s); err != nil {
			c.report.add(name, n, "It is no seal of a pack: %v.", err)
			next++
			return
		}
		if fault := order(&next, s.N); fault != "" {
			c.report.add(name, n, "%s", fault)
		}
		day, err := dayseal.ParseData([]byte(s.Data))
		switch {
		case err != nil:
			c.report.add(name, n, "The seal: %v.", err)
			return
		case day.Tenant != c.manifest.Tenant || day.Day < c.manifest.From || day.Day > c.manifest.To:
			c.report.add(name, n, "It is the seal of %.70q, %.20q.", day.Tenant, day.Day)
			return
		}
		if fault := c.leafFault(s.Leaf, tlog.RecordHash([]byte(s.Data))); fault != "" {
			c.report.add(name, n, "%s", fault)
			return
		}
		for i := range day.Hours {
			if h := &day.Hours[i]; h.ManifestSHA256 != nil {
				c.sealed[day.Day+" "+h.Hour+" "+*h.ManifestSHA256] = true
			}
		}
	}
}

// leafFault says why the log does not have a hash as its leaf n; "" if it has.
func (c *checker) leafFault(n int64, hash tlog.Hash) string {
	if n < 0 || n >= c.report.LogSize {
		return fmt.Sprintf("It names leaf %d, which the log does not have.", n)
	}
	leaves, err := c.leaves(n >> torchwood.TileHeight)
	if err != nil {
		return fmt.Sprintf("What proves leaf %d is missing or was changed: %v.", n, err)
	}
	if leaves[n&(torchwood.TileWidth-1)] != hash {
		return fmt.Sprintf("It was changed: it is not what stands in the log as leaf %d.", n)
	}
	return ""
}

// leaves reads the leaves of a tile, and checks them by the checkpoint. It keeps those of some
// tiles, since lines stand nearly in the order of the leaves.
func (c *checker) leaves(tile int64) ([]tlog.Hash, error) {
	if leaves, ok := c.cache[tile]; ok {
		return leaves, nil
	}
	first := tile << torchwood.TileHeight
	indexes := make([]int64, min(torchwood.TileWidth, c.report.LogSize-first))
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	leaves, err := c.tree.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	if len(c.cache) >= 64 {
		clear(c.cache)
	}
	c.cache[tile] = leaves
	return leaves, nil
}

// tiles reads the tiles of a pack.
type tiles struct{ root *os.Root }

// Height implements [tlog.TileReader].
func (t tiles) Height() int { return torchwood.TileHeight }

// ReadTiles implements [tlog.TileReader].
func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(list))
	for i, tile := range list {
		data, err := readSmall(t.root, torchwood.TilePath(tile), torchwood.TileWidth*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", torchwood.TilePath(tile), len(data))
		}
		out[i] = bytes.Clone(data)
	}
	return out, nil
}

// SaveTiles implements [tlog.TileReader].
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// reader counts what is read, and fails once ctx has ended.
type reader struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	r.n += int64(n)
	return n, err
}
