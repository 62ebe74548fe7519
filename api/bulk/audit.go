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
	actionWalk   = "bulk.walk"   // pages of an export were asked for
	actionStream = "bulk.stream" // a stream began
)

type auditDetail struct {
	Endpoint string `json:"endpoint"` // conversations or messages
	Bot      string `json:"bot"`      // as it was asked for
	Start    int64  `json:"start"`    // Unix seconds, like the end: they need not be dates
	End      int64  `json:"end"`

	Continues bool `json:"continues,omitempty"` // not from the first page on
	audit.Origin
}

// audit writes the audit log before the answer: one line for a stream, one for the first page of a
// walk, and one an hour for each key and address that goes on with the walk. Whoever has a cursor
// can read all that follows it, and any number of times.
func (h *handler) audit(ctx context.Context, r *http.Request, key catalog.Credential, endpoint string, q request, stream bool) error {
	if r.Method == http.MethodHead {
		return nil
	}
	o := web.Origin(r, catalog.CredentialKey.Actor(key.ID))
	detail := auditDetail{endpoint, q.Bot, q.From.Unix(), q.To.Unix(), q.after != nil, o}
	switch {
	case stream:
		return h.deps.Catalog.AppendAudit(ctx, o, key.Tenant, actionStream, detail)
	case q.after != nil:
		return h.deps.Catalog.AppendAuditOnce(ctx, o, key.Tenant, actionWalk, q.binding+" "+o.Remote, detail)
	}
	return h.deps.Catalog.AppendAudit(ctx, o, key.Tenant, actionWalk, detail)
}
