package recordings

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	// redirects is how many continuations of one counted download are redirected.
	redirects = 20
	// minPiece is how many bytes a continuation reserves at least, in each of its transactions.
	minPiece = 64 << 10
	// pieces is how many pieces an archive has at most, so that a large one takes few transactions.
	pieces = 32
)

// continuation sends the bytes of a request that continues a counted download. It reserves bytes of
// that download's allowance piece by piece, because clients ask for more than they read: those with
// many connections ask each time for all up to the end.
type continuation struct {
	http.ResponseWriter
	ctx     context.Context
	catalog Catalog
	d       catalog.Download
	begun   catalog.BegunDownload
	unsent  int64 // reserved bytes that were not sent yet
	rest    int64 // bytes of the answer that are not reserved
}

// piece is how many of the rest's bytes a continuation reserves next.
func piece(d catalog.Download, rest int64) int64 {
	return min(rest, max(minPiece, d.Allowance/2/pieces))
}

// Unwrap is for http.ResponseController.
func (c *continuation) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Write reserves what it sends. Error: KindLimited when no counted download has as much left, and
// the request can't be counted itself.
func (c *continuation) Write(b []byte) (int, error) {
	if lacks := int64(len(b)) - c.unsent; lacks > 0 && !c.begun.Counted {
		if err := c.reserve(lacks); err != nil {
			return 0, err
		}
	}
	n, err := c.ResponseWriter.Write(b)
	c.unsent -= int64(n)
	return n, err
}

func (c *continuation) reserve(lacks int64) error {
	ctx, cancel := context.WithTimeout(c.ctx, catalogTimeout)
	defer cancel()
	c.d.Spend = max(lacks, piece(c.d, c.rest)) // an answer of several ranges has bytes between them
	begun, err := c.catalog.BeginDownload(ctx, c.d)
	if err != nil {
		return err
	}
	c.begun, c.unsent, c.rest = begun, c.unsent+c.d.Spend, c.rest-c.d.Spend
	return nil
}

// returnUnsent gives back what a continuation reserved and did not send. So a bad line, on which a
// client begins anew many times, is not punished.
func (h *handler) returnUnsent(ctx context.Context, c *continuation) {
	if c.begun.Counted || c.unsent <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catalogTimeout)
	defer cancel()
	if err := c.catalog.ReturnUnsent(ctx, c.d, c.begun, c.unsent); err != nil {
		h.deps.Log.Warn("unsent bytes of a download stay counted", zap.String("archive", c.d.Object), telemetry.In(ctx), zap.Error(err))
	}
}
