package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Encode gives v as JSON. Fields keep the order of their struct, and characters of HTML are not
// escaped.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// JSON answers with v, as Encode gives it, and a newline. A HEAD gets only the headers.
func JSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	text, err := Encode(v)
	if err != nil { // a value without JSON is a mistake in this program
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	JSONText(w, r, status, append(text, '\n'))
}

// JSONText answers with text, which is JSON already.
func JSONText(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		out := NewTimedWriter(w)
		_, _ = out.Write(text) // an error means that the caller is gone, or too slow
		_ = out.Finish()
	}
}

// Time formats a time as the APIs write it: UTC with Z, in whole seconds (truncated).
func Time(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// TimeOrNull is Time, or nil for the zero time.
func TimeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := Time(t)
	return &s
}

// TextOrNull is s, or nil for "".
func TextOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Seconds rounds a wait up to whole seconds.
func Seconds(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// RateLimit sets the three headers of a limited endpoint. A 429 has a Retry-After too, which the
// caller sets.
func RateLimit(w http.ResponseWriter, limit, remaining int, reset time.Duration) {
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("X-RateLimit-Reset", Seconds(reset))
}
