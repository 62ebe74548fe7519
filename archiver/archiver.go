package archiver

import (
	"cmp"
	"context"
	"io"
	"iter"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// Hour is the hour whose recordings a ZIP holds.
type Hour struct {
	Day         string    // YYYY-MM-DD, UTC
	Hour        int       // 0 to 23
	GeneratedAt time.Time // written into metadata.json, and the time of its entry
}

// Entry is one recording to be put into the ZIP.
type Entry struct {
	Key                    string // object key; the file name is made from its last part
	ExternalConversationID string
	SessionID              string
	MessageID              int64
	Type                   string
	Timestamp              time.Time
	Size                   int64          // bytes the object must have
	CRC32                  *uint32        // IEEE, compared with what was read; nil when unknown
	SHA256                 *domain.SHA256 // compared with what was read; nil when unknown
	ETag                   string         // of the object that is known to have the SHA-256; "" when unknown
	Optional               bool           // when its source keeps failing, it is left out as unreadable and the build goes on
}

// Object is an opened range of a recording.
type Object struct {
	// Body gives the requested bytes. Close must end a Read that blocks.
	Body io.ReadCloser
	Size int64  // of the whole object, -1 when unknown
	ETag string // "" when the store has none
}

// Source opens n bytes of an entry's object at offset from. Several goroutines call it at the same
// time. from 0 with n equal to the entry's size asks for the whole object, without a range. What a
// body gives beyond n bytes is not used. A non-empty etag pins the version: the read must fail
// with ErrChanged (If-Match) when the object has another ETag.
//
// Errors: ErrVanished only when the store said that this key does not exist; ErrChanged for a
// failed precondition (412) or a range outside the object (416); ErrUnreadable for an object that
// exists but whose bytes can't be read; ErrRefused for what a retry can't change. Every other
// error counts as temporary and is retried.
type Source func(ctx context.Context, e Entry, from, n int64, etag string) (Object, error)

// Sink takes the ZIP in parts. Its errors end the build.
type Sink interface {
	// Begin announces the ZIP: its size in bytes, the size of every part but the last, and the
	// count of parts. It is called again after a restart, which makes the parts given before void.
	// No call of Part runs meanwhile.
	Begin(ctx context.Context, size, partSize int64, parts int) error
	// Part takes a part by its number (from 1). Parts come in any order and from several
	// goroutines. data is only valid during the call and must not be changed. crc32 is IEEE, of
	// data.
	Part(ctx context.Context, number int, data []byte, crc32 uint32) error
}

// Defaults of Config.
const (
	DefaultPartSize = 8 << 20
	DefaultBuffers  = 4
	DefaultGets     = 16
	DefaultMaxSize  = 5 << 40
	DefaultTries    = 6
	DefaultStall    = 30 * time.Second
	DefaultIdle     = 2 * time.Minute
	DefaultBackoff  = 200 * time.Millisecond
)

const (
	maxParts    = 9000 // below the 10,000 that S3 allows
	maxRestarts = 3
	minBuffers  = 3  // a CRC field over two parts keeps two buffers in use
	minPartSize = 16 // so that a CRC field never lies in three parts
	maxBackoff  = 5 * time.Second
	slowestSink = 256 << 10 // bytes a second that every upload of a part is expected to reach
)

// Config bounds a build. Zero and negative fields take the defaults.
type Config struct {
	PartSize int64         // smallest part in bytes; grows with the ZIP so that 9,000 parts suffice
	Buffers  int           // parts held in memory at once, at least 3
	Gets     int           // reads in flight
	MaxSize  int64         // largest ZIP in bytes
	Tries    int           // how often one range is opened before the build fails
	Stall    time.Duration // how long a read may go without a byte before it is ended and resumed
	Idle     time.Duration // how long a build may go without progress before it fails with ErrStalled
	Backoff  time.Duration // wait before the second try, doubled each time up to 5 s

	// Instead, when set, is asked once for each recording that has to be left out. It may give an
	// entry to be archived in its place, which the source then gets. When that one has to be left
	// out too, the first reason is reported. One call runs at a time.
	Instead func(e Entry, reason Reason) (Entry, bool)
}

func (c Config) withDefaults() Config {
	c.PartSize = max(cmp.Or(max(c.PartSize, 0), DefaultPartSize), minPartSize)
	c.Buffers = max(cmp.Or(max(c.Buffers, 0), DefaultBuffers), minBuffers)
	c.Gets = cmp.Or(max(c.Gets, 0), DefaultGets)
	c.MaxSize = cmp.Or(max(c.MaxSize, 0), DefaultMaxSize)
	c.Tries = cmp.Or(max(c.Tries, 0), DefaultTries)
	c.Stall = cmp.Or(max(c.Stall, 0), DefaultStall)
	c.Idle = cmp.Or(max(c.Idle, 0), DefaultIdle)
	c.Backoff = cmp.Or(max(c.Backoff, 0), DefaultBackoff)
	return c
}

// partSizeFor returns the size of a part of a ZIP of total bytes.
func (c Config) partSizeFor(total int64) int64 {
	return max(c.PartSize, (total+maxParts-1)/maxParts)
}

// Reason says why a recording is not in the ZIP.
type Reason string

// Reasons as metadata.json names them.
const (
	NotFound         Reason = "not_found"
	SizeChanged      Reason = "size_changed"
	ChecksumMismatch Reason = "checksum_mismatch"
	Unreadable       Reason = "unreadable" // the object exists, but its bytes can't be read
)

// Missing is a recording that was left out.
type Missing struct {
	Key       string
	MessageID int64
	Reason    Reason
	SHA256    *domain.SHA256 // of the bytes that were read instead; nil unless all were
}

// Learnt is what was read of a recording in the ZIP, where its entry did not have it.
type Learnt struct {
	Key    string
	Size   int64
	CRC32  uint32
	SHA256 domain.SHA256
	ETag   string // of the object that all bytes were read from; "" when the store has none
}

// Result describes a finished ZIP.
type Result struct {
	Size           int64 // of the ZIP in bytes
	PartSize       int64
	Parts          int
	CRC32          uint32 // IEEE, of the whole ZIP
	Files          int    // recordings in the ZIP
	Bytes          int64  // sum of the recordings' sizes
	Sessions       []domain.Session
	ManifestSHA256 string           // hex, of the SHA256SUMS entry
	Missing        []Missing        // in the order of the ZIP's entries
	Learnt         iter.Seq[Learnt] // of entries without SHA-256, or with another ETag; in the order of the ZIP
	Restarts       int
	Retries        int64 // how often reads were opened again
}
