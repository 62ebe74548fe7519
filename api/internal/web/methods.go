package web

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// UnknownMethods answers requests with a method that chi does not know. chi refuses them before it
// looks at the path. They are answered like TRACE, which chi knows and no endpoint takes: 404 or
// 405 by their path.
func UnknownMethods(mux http.Handler, fail func(w http.ResponseWriter, r *http.Request, status int)) http.HandlerFunc {
	const known = http.MethodTrace
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == known { // the path has a handler that is no Methods
			fail(w, r, http.StatusMethodNotAllowed)
			return
		}
		// chi keeps the state of its routing in the context; without it the routing starts again.
		retried := r.WithContext(context.WithValue(r.Context(), chi.RouteCtxKey, nil))
		retried.Method = known
		mux.ServeHTTP(w, retried)
	}
}
