package bulk

import (
	"context"
	"net/http"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
)

// Actions in the audit log.
const (
	actionWalk   = "bulk.walk"   // the first page of an export was asked for
	actionStream = "bulk.stream" // a stream began
)

type auditDetail struct {
	Endpoint string `json:"endpoint"` // conversations or messages
	Bot      string `json:"bot"`      // as it was asked for
	Start    int64  `json:"start"`    // Unix seconds, like the end: they need not be dates
	End      int64  `json:"end"`
	audit.Origin
}

// audit writes the audit log before the answer: one line for a stream, and one for all pages of a
// walk.
func (h *handler) audit(ctx context.Context, r *http.Request, key catalog.Credential, endpoint string, q request, stream bool) error {
	action := actionWalk
	switch {
	case stream:
		action = actionStream
	case q.after != nil:
		return nil
	}
	if r.Method == http.MethodHead {
		return nil
	}
	o := web.Origin(r, catalog.CredentialKey.Actor(key.ID))
	return h.deps.Catalog.AppendAudit(ctx, o, key.Tenant, action, auditDetail{endpoint, q.Bot, q.From.Unix(), q.To.Unix(), o})
}
