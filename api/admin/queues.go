package admin

import (
	"net/http"

	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

const queuesPath = "/admin/queues"

// queuesPolicy is what the dashboard's pages need: their own inline script and styles. Its request
// for fonts from elsewhere is refused, and it does without.
const queuesPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// connection gives the dashboard the queue's own connection.
type connection struct{ client redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (c connection) MakeRedisClient() any { return c.client }

// queues is the dashboard of the queues. It defends itself against nobody, so it stands behind
// the session and the check of where requests come from.
func (h *handler) queues() http.Handler {
	dashboard := asynqmon.New(asynqmon.Options{RootPath: queuesPath, RedisConnOpt: connection{h.deps.Redis}, ReadOnly: h.cfg.ReadOnly})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
		default: // its own answer to these has no words
			head.Set("Allow", "GET, HEAD, POST, DELETE")
			h.fail(w, r, http.StatusMethodNotAllowed)
			return
		}
		head.Set("Content-Security-Policy", queuesPolicy)
		head.Set("Referrer-Policy", "same-origin")
		head.Set("X-Frame-Options", "DENY")
		dashboard.ServeHTTP(w, r)
	})
}
