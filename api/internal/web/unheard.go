package web

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// Unheard answers methods that mux, a chi router, has never heard of and refuses before it looks at
// the path: as a method that it knows and that no page takes.
func Unheard(mux http.Handler, fail func(w http.ResponseWriter, r *http.Request, status int)) http.HandlerFunc {
	const known = http.MethodTrace
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == known { // of a path that is not made of Methods
			fail(w, r, http.StatusMethodNotAllowed)
			return
		}
		// The router remembers in the context how far it has come.
		again := r.WithContext(context.WithValue(r.Context(), chi.RouteCtxKey, nil))
		again.Method = known
		mux.ServeHTTP(w, again)
	}
}
