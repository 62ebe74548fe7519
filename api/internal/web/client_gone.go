package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/callvault/callvault/internal/domain"
)

// StatusClientGone is the status of a request whose client closed the connection before the answer.
// Nobody receives it: logs and metrics show it. nginx uses the same number for this.
const StatusClientGone = 499

// errClientGone is the error of an answer that its client does not take to the end: it has closed
// the connection, or reads too slowly.
var errClientGone = errors.New("the client takes no more")

// ClientGone says whether a request failed with err because its client is gone. Then it is no
// failure of a part, even if the part says that it is unavailable. A process that stops also
// cancels its requests, but with a cause of its own.
func ClientGone(r *http.Request, err error) bool {
	if errors.Is(err, errClientGone) {
		return true
	}
	return errors.Is(context.Cause(r.Context()), context.Canceled) && Unavailable(err, domain.KindInterrupted)
}
