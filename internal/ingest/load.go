package ingest

import (
	"context"
	"errors"
	"io"

	"github.com/callvault/callvault/internal/catalog"
)

// Registrar takes one batch in, all of it or nothing.
type Registrar interface {
	Register(ctx context.Context, tenant string, b catalog.Batch) (catalog.Counts, error)
}

// Result says what of a stream is stored.
type Result struct {
	Lines   int // lines stored, empty ones not counted
	Batches int
	catalog.Counts
}

// Load takes a whole stream in, batch by batch, each in a transaction of its own. After an error
// the Result says what is stored: the batches before it. seen, which may be nil, is called with
// every batch that is stored.
//
// Errors: *catalog.LineError for a line that is not right, the registrar's, the reader's, ctx's.
// Where an answer to a batch was unclear, sending the stream again changes nothing twice.
func Load(ctx context.Context, to Registrar, tenant string, r io.Reader, seen func(catalog.Batch)) (Result, error) {
	var result Result
	lines := NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return result, err
		}
		batch, err := lines.Batch()
		if errors.Is(err, io.EOF) {
			return result, nil
		}
		if err != nil {
			return result, err
		}
		counts, err := to.Register(ctx, tenant, batch)
		if err != nil {
			return result, err
		}
		result.Lines += batch.Len()
		result.Batches++
		result.Add(counts)
		if seen != nil {
			seen(batch)
		}
	}
}
