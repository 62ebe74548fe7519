package recordings

import (
	"context"
	"net/http"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	// redirects is how many continuations of one counted download are redirected before one counts.
	redirects = 20
	// minPiece is how many bytes a continuation reserves at a time, at least.
	minPiece = 64 << 10
	// pieces is how many pieces a whole archive has at most: each is a transaction of its own.
	pieces = 32
)

// continuation sends the bytes of a request that continues a counted download. It reserves them
// piece by piece from that download's allowance, because clients ask for more than they read: those
// with many connections ask on each for everything up to the end.
type continuation struct {
	http.ResponseWriter
	ctx     context.Context
	catalog Catalog
	d       catalog.Download
	begun   catalog.BegunDownload
	unsent  int64 // bytes that are reserved and not sent
	rest    int64 // bytes of the answer that are not reserved yet
}

// piece is how many of the rest's bytes a continuation reserves next.
func piece(d catalog.Download, rest int64) int64 {
	return min(rest, max(minPiece, d.Allowance/2/pieces))
}

// Unwrap is for http.ResponseController.
func (c *continuation) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Write reserves what it sends. Error: KindLimited when no counted download has enough left of its
// allowance, and this one can't be counted either.
func (c *continuation) Write(b []byte) (int, error) {
	if more := int64(len(b)) - c.unsent; more > 0 && !c.begun.Counted {
		if err := c.reserve(more); err != nil {
			return 0, err
		}
	}
	n, err := c.ResponseWriter.Write(b)
	c.unsent -= int64(n)
	return n, err
}

func (c *continuation) reserve(more int64) error {
	ctx, cancel := context.WithTimeout(c.ctx, catalogTimeout)
	defer cancel()
	c.d.Spend = max(more, piece(c.d, c.rest)) // an answer of several ranges has more bytes than these
	begun, err := c.catalog.BeginDownload(ctx, c.d)
	if err != nil {
		return err
	}
	c.begun, c.unsent, c.rest = begun, c.unsent+c.d.Spend, c.rest-c.d.Spend
	return nil
}

// returnUnsent gives back what a continuation reserved and did not send. So a client on a bad line
// can begin anew many times.
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
