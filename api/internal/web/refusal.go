package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Refusal is an error with the answer that the caller gets.
type Refusal struct {
	Status    int
	Body      any           // in the family's error shape
	Challenge string        // WWW-Authenticate of a 401 or a 403; "" for none
	Wait      time.Duration // Retry-After of a 429; none when 0
}

func (f Refusal) Error() string { return fmt.Sprintf("answered %d: %v", f.Status, f.Body) }

// Write answers a request with the refusal.
func (f Refusal) Write(w http.ResponseWriter, r *http.Request) {
	if f.Challenge != "" {
		w.Header().Set("WWW-Authenticate", f.Challenge)
	}
	switch {
	case f.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case f.Wait > 0:
		w.Header().Set("Retry-After", Seconds(f.Wait))
	}
	JSON(w, r, f.Status, f.Body)
}

// Handle makes a handler that writes the answer for the error of serve. An error that is no Refusal
// is answered as explain says, unless the client is gone.
func Handle(serve func(w http.ResponseWriter, r *http.Request) error, explain func(r *http.Request, err error) Refusal) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		refusal, known := errors.AsType[Refusal](err)
		if !known && ClientGone(r, err) {
			w.WriteHeader(StatusClientGone)
			return
		}
		if !known {
			refusal = explain(r, err)
		}
		refusal.Write(w, r)
	}
}

// RefusalText gives the text for a status that always has the same one. object is the noun for what
// callers download, such as archive.
func RefusalText(status int, object string) string {
	switch status {
	case http.StatusNotFound:
		return "Not found."
	case http.StatusMethodNotAllowed:
		return "Method not allowed."
	case http.StatusPreconditionFailed:
		return "The " + object + " is not the one that the request names."
	case http.StatusRequestEntityTooLarge:
		return "The request body is too large."
	case http.StatusRequestedRangeNotSatisfiable:
		return "The requested range lies behind the end of the " + object + "."
	case http.StatusServiceUnavailable:
		return "The service is temporarily unavailable. Please try again later."
	}
	return "Internal server error."
}
