package archiver

import (
	"context"
	"fmt"
	"slices"

	"github.com/callvault/callvault/internal/zipformat"
)

// Build reads the entries and gives the ZIP to sink in parts. The entries are not changed, and the
// caller must not change them meanwhile.
//
// A recording that does not exist or is not what its entry says is left out. The build then checks
// all recordings that it has not read yet, and starts again without those that are missing. After a
// recording with another checksum it reads the others to their end first and writes nothing more,
// because nothing else shows which of them have another checksum too. It restarts three times at
// most.
//
// Errors: ErrEmpty, ErrInvalid, ErrTooLarge (before anything is read or begun), ErrAllMissing (an
// *AllMissingError), ErrUnstable, ErrStalled, the context's, the sink's, and the source's after
// Config.Tries. After an error the parts given so far are useless. When Build returns, none of its
// goroutines runs.
func Build(ctx context.Context, cfg Config, h Hour, entries []Entry, src Source, sink Sink) (Result, error) {
	if err := validate(h, entries); err != nil {
		return Result{}, err
	}
	b := &build{cfg: cfg.withDefaults(), src: src, sink: sink}
	if cfg.Instead != nil {
		entries = slices.Clone(entries) // some may be replaced
	}
	sorted := sortEntries(entries)
	missing, replaced := map[*Entry]finding{}, map[*Entry]original{}
	for restarts := 0; ; restarts++ {
		p, err := newLayout(b.cfg, h, sorted, missing)
		if err != nil {
			return Result{}, err
		}
		result, found, err := b.attempt(ctx, p)
		if err != nil {
			return Result{}, err
		}
		if len(found) == 0 {
			result.Restarts, result.Retries = restarts, b.retries.Load()
			return result, nil
		}
		for e, f := range found {
			if o, ok := replaced[e]; ok {
				*e, missing[e] = o.entry, o.finding
			} else if instead, ok := b.instead(*e, f.reason); ok {
				replaced[e] = original{*e, f}
				*e = instead
			} else {
				missing[e] = f
			}
		}
		if restarts == maxRestarts && len(missing) < len(entries) {
			return Result{}, fmt.Errorf("%w: %d missing after %d restarts", ErrUnstable, len(missing), restarts)
		}
	}
}

// original is an entry that another one has replaced, and why it can't be archived. That is
// reported when the other one can't be archived either.
type original struct {
	entry Entry
	finding
}

// instead gives the entry to be archived in place of e, which has to be left out.
func (b *build) instead(e Entry, reason Reason) (Entry, bool) {
	if b.cfg.Instead == nil {
		return e, false
	}
	return b.cfg.Instead(e, reason)
}

// Memory returns how many bytes a build of the entries takes at most: its buffers, and half a
// kilobyte for each entry.
func Memory(cfg Config, entries []Entry) int64 {
	cfg = cfg.withDefaults()
	const perEntry = 512
	total := int64(4 << 10)
	for i := range entries {
		total += sizeBound(&entries[i])
	}
	part := cfg.partSizeFor(total)
	parts := (total + part - 1) / part
	return min(int64(cfg.Buffers), parts)*min(part, total) + perEntry*int64(len(entries))
}

// sizeBound returns an upper bound of the bytes that an entry takes in a ZIP: its data, its path
// in both headers and in SHA256SUMS, and its lines in metadata.json, where a byte may take six.
func sizeBound(e *Entry) int64 {
	const (
		paths   = 3 * (3*maxNamePart + 2)
		headers = zipformat.HeadersSize + 67
		keys    = 512
	)
	texts := len(e.Key) + maxNamePart + len(e.ExternalConversationID) + len(e.SessionID) + len(e.Type)
	return e.Size + paths + headers + keys + 6*int64(texts)
}
