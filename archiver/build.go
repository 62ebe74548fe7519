package archiver

import (
	"context"
	"fmt"
)

// Build reads the entries and gives the ZIP to sink in parts. The entries are
// not changed and must not change meanwhile.
//
// A recording that vanished or is not what its entry says is left out: the
// build then looks at all that it had not read yet and starts again once
// without any of the missing, at most three times.
//
// Errors: ErrEmpty, ErrInvalid, ErrTooLarge (before anything is read or begun),
// ErrAllMissing (an *AllMissingError), ErrUnstable, ErrStalled, the context's,
// the sink's, and the source's after Config.Tries. After an error the parts
// given so far are worthless. When Build returns, nothing of it runs any more.
func Build(ctx context.Context, cfg Config, h Hour, entries []Entry, src Source, sink Sink) (Result, error) {
	if err := validate(h, entries); err != nil {
		return Result{}, err
	}
	b := &build{cfg: cfg.withDefaults(), src: src, sink: sink}
	sorted := order(entries)
	gone := map[*Entry]Reason{}
	for restarts := 0; ; restarts++ {
		p, err := newPlan(b.cfg, h, sorted, gone)
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
		for e, reason := range found {
			gone[e] = reason
		}
		if restarts == maxRestarts && len(gone) < len(entries) {
			return Result{}, fmt.Errorf("%w: %d missing after %d restarts", ErrUnstable, len(gone), restarts)
		}
	}
}

// Memory returns how many bytes a build of the entries reserves at most: its
// buffers and half a kilobyte for each entry. It reads no byte and takes no
// memory itself.
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

// sizeBound returns more bytes than an entry takes of a ZIP: its own, a path
// in both headers and in SHA256SUMS, and its lines in metadata.json, where a
// byte may take six.
func sizeBound(e *Entry) int64 {
	const (
		paths   = 3 * (3*maxNamePart + 2)
		headers = localSize + centralSize + 2*timeExtra + 20 + 28 + 67
		keys    = 512
	)
	texts := len(e.Key) + maxNamePart + len(e.ExternalConversationID) + len(e.SessionID) + len(e.Type)
	return e.Size + paths + headers + keys + 6*int64(texts)
}
