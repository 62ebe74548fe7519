package archiver

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/zipformat"
)

// item is an entry with its path and offset in the ZIP, and the checksums of what was read.
type item struct {
	entry  *Entry
	file   string // last part of its path
	folder int32  // index into the layout's folders
	read   bool   // wholly, and as expected
	crc    uint32
	offset int64 // of the local header
	sum    domain.SHA256
	etag   string // that pinned the object
}

// folder is a session's folder.
type folder struct {
	path                  string
	externalID, sessionID string
	items                 []int32 // in order
}

// layout is everything about a ZIP but the bytes of the audio and their checksums.
type layout struct {
	hour    Hour
	items   []item
	folders []folder // one for each session, by first item
	missing []Missing

	metadata    zipformat.Entry
	metadataSum domain.SHA256
	sums        zipformat.Entry // its CRC is not known yet
	end         zipformat.End

	total    int64
	partSize int64
	parts    int
}

// sortEntries returns the entries in the order of the ZIP.
func sortEntries(entries []Entry) []*Entry {
	sorted := make([]*Entry, len(entries))
	for i := range entries {
		sorted[i] = &entries[i]
	}
	slices.SortStableFunc(sorted, func(a, b *Entry) int {
		return cmp.Or(
			a.Timestamp.Compare(b.Timestamp),
			strings.Compare(a.SessionID, b.SessionID),
			cmp.Compare(a.MessageID, b.MessageID),
			strings.Compare(a.Type, b.Type),
			strings.Compare(a.Key, b.Key),
		)
	})
	return sorted
}

// newLayout lays out the ZIP of the sorted entries without the missing ones.
func newLayout(cfg Config, h Hour, sorted []*Entry, missing map[*Entry]finding) (*layout, error) {
	p := &layout{hour: h, items: make([]item, 0, len(sorted)-len(missing))}
	for _, e := range sorted {
		if found, ok := missing[e]; ok {
			p.missing = append(p.missing, Missing{Key: e.Key, MessageID: e.MessageID, Reason: found.reason, SHA256: found.sum})
			continue
		}
		p.items = append(p.items, item{entry: e})
	}
	if len(p.items) == 0 {
		return nil, &AllMissingError{Missing: p.missing}
	}
	p.nameItems()
	if err := p.measureMetadata(); err != nil {
		return nil, err
	}
	p.computeOffsets()
	if p.total > cfg.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, p.total, cfg.MaxSize)
	}
	p.partSize = cfg.partSizeFor(p.total)
	p.parts = int((p.total + p.partSize - 1) / p.partSize)
	return p, nil
}

// nameItems gives every item its path and every session its folder.
func (p *layout) nameItems() {
	names := newNamer(len(p.items))
	index := map[int32]int32{}
	for i := range p.items {
		it := &p.items[i]
		e := it.entry
		outer, _ := names.folder(0, e.ExternalConversationID)
		inner, fresh := names.folder(outer, e.SessionID)
		if fresh {
			index[inner] = int32(len(p.folders))
			p.folders = append(p.folders, folder{
				path: names.paths[inner], externalID: e.ExternalConversationID, sessionID: e.SessionID,
			})
		}
		it.folder = index[inner]
		it.file = names.name(inner, e.Key[strings.LastIndexByte(e.Key, '/')+1:])
		f := &p.folders[it.folder]
		f.items = append(f.items, int32(i))
	}
}

// sessions lists the sessions that have a file in the ZIP.
func (p *layout) sessions() []domain.Session {
	list := make([]domain.Session, len(p.folders))
	for i := range p.folders {
		list[i] = domain.Session{ExternalConversationID: p.folders[i].externalID, SessionID: p.folders[i].sessionID}
	}
	return list
}

// measureMetadata computes the size and checksums of metadata.json.
func (p *layout) measureMetadata() error {
	d := newDigest()
	if err := p.writeMetadata(d); err != nil {
		return err
	}
	p.metadata = zipformat.Entry{File: metadataName, Size: d.size, CRC: d.crc, Modified: p.hour.GeneratedAt}
	p.metadataSum = domain.SHA256(d.sha.Sum(nil))
	return nil
}

// computeOffsets computes the offset of every item, the central directory and the ZIP's size.
func (p *layout) computeOffsets() {
	at := p.metadata.LocalSize() + p.metadata.Size
	central := p.metadata.CentralSize()
	sums := sumLineSize(p.metadata)
	for i := range p.items {
		it := &p.items[i]
		it.offset = at
		r := p.record(it)
		at += r.LocalSize() + r.Size
		central += r.CentralSize()
		sums += sumLineSize(r)
	}
	p.sums = zipformat.Entry{File: sumsName, Size: sums, Offset: at, Modified: p.hour.GeneratedAt}
	at += p.sums.LocalSize() + p.sums.Size
	central += p.sums.CentralSize()
	p.end = zipformat.End{Entries: int64(len(p.items)) + 2, Offset: at, Size: central}
	p.total = at + central + p.end.Length()
}

// record returns what the headers of an item say.
func (p *layout) record(it *item) zipformat.Entry {
	return zipformat.Entry{
		Folder: p.folders[it.folder].path, File: it.file,
		Size: it.entry.Size, Offset: it.offset, CRC: it.crc,
		Modified: it.entry.Timestamp,
	}
}

// result describes the finished ZIP.
func (p *layout) result(crcs []uint32, sumsDigest string) Result {
	r := Result{
		Size: p.total, PartSize: p.partSize, Parts: p.parts,
		Files: len(p.items), Sessions: p.sessions(),
		ManifestSHA256: sumsDigest, Missing: p.missing, Learnt: p.learnt,
	}
	for i := range p.items {
		r.Bytes += p.items[i].entry.Size
	}
	for i, sum := range crcs {
		size := min(p.partSize, p.total-int64(i)*p.partSize)
		r.CRC32 = domain.CombineCRC32(r.CRC32, sum, size)
	}
	return r
}

// learnt gives what the items' entries did not have. It is an iterator, because a list would take
// memory for each recording.
func (p *layout) learnt(yield func(Learnt) bool) {
	for i := range p.items {
		it := &p.items[i]
		known := it.entry.SHA256 != nil && it.entry.ETag == it.etag
		if !known && !yield(Learnt{it.entry.Key, it.entry.Size, it.crc, it.sum, it.etag}) {
			return
		}
	}
}

// validate refuses input that can't be archived.
func validate(h Hour, entries []Entry) error {
	if len(entries) == 0 {
		return ErrEmpty
	}
	if _, err := time.Parse(time.DateOnly, h.Day); err != nil || h.Hour < 0 || h.Hour > 23 {
		return fmt.Errorf("%w: hour %q %d", ErrInvalid, h.Day, h.Hour)
	}
	for i := range entries {
		if entries[i].Size < 0 {
			return fmt.Errorf("%w: size %d of %s", ErrInvalid, entries[i].Size, entries[i].Key)
		}
	}
	return nil
}

// digest is a writer that keeps only checksums.
type digest struct {
	size int64
	crc  uint32
	sha  hash.Hash
}

func newDigest() *digest { return &digest{sha: sha256.New()} }

func (d *digest) Write(b []byte) (int, error) {
	d.size += int64(len(b))
	d.crc = crc32.Update(d.crc, crc32.IEEETable, b)
	return d.sha.Write(b)
}
