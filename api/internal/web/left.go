package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/callvault/callvault/internal/domain"
)

// StatusLeft is the status of a request whose client went away before the answer. Nobody receives
// it; logs and metrics show it. nginx has the same number for this.
const StatusLeft = 499

// errNotTaken is a client that takes no more of an answer: it is gone, or too slow.
var errNotTaken = errors.New("the client takes no more")

// Left says whether an error comes from the client, which went away. It is then no failure of a part,
// even if the part says that it is unavailable. A process that stops cancels requests with a cause of
// its own.
func Left(r *http.Request, err error) bool {
	if errors.Is(err, errNotTaken) {
		return true
	}
	return errors.Is(context.Cause(r.Context()), context.Canceled) && Unavailable(err, domain.KindInterrupted)
}
