package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/callvault/callvault/client/verify"
)

// ErrBusy means that another pull writes to the directory.
var ErrBusy = errors.New("another pull is writing to this directory")

// RefusedError is an answer that does not change when the request is repeated: 400 (not a day, or a
// day in the future), 401 (credentials), 403 (scope or feature), 404 (past retention).
type RefusedError struct {
	Status  int
	Message string // the server's
}

// Error has the server's message.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server refuses (%d): %s", e.Status, e.Message)
}

// LimitedError is a 429: the server accepts no more of these requests for now.
type LimitedError struct {
	RetryAfter time.Duration
	Message    string // the server's; it is the same for all limits
	Of         string // what is limited, for people; "" if not known
}

// Error has the server's message, the wait, and which limit it is.
func (e *LimitedError) Error() string {
	text := fmt.Sprintf("limited for %s: %s", e.RetryAfter.Round(time.Second), e.Message)
	if e.Of != "" {
		text += " (the limit of " + e.Of + ")"
	}
	return text
}

// limitOf sets Of in a *LimitedError, and leaves other errors as they are.
func limitOf(err error, of string) error {
	var limited *LimitedError
	if errors.As(err, &limited) {
		limited.Of = of
	}
	return err
}

// StatusError is any other unexpected answer.
type StatusError struct {
	Status  int
	Message string // the server's
}

// Error has the server's message.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answers %d: %s", e.Status, e.Message)
}

// DamagedError is an archive that does not pass its checks.
type DamagedError struct {
	Problems []verify.Problem // the first thousand
}

// Error has the first problem.
func (e *DamagedError) Error() string {
	if len(e.Problems) == 0 {
		return "the archive is damaged"
	}
	return "the archive is damaged: " + e.Problems[0].String()
}

// transientError is an error after which another attempt may succeed, after a wait of after or
// more.
type transientError struct {
	err   error
	after time.Duration
}

func (e *transientError) Error() string { return e.err.Error() }
func (e *transientError) Unwrap() error { return e.err }

// maxWait is the longest wait that a server may ask for.
const maxWait = 7 * 24 * time.Hour

// retryAfter reads a Retry-After header, in seconds or as a date. Without one it returns fallback.
func retryAfter(h http.Header, now time.Time, fallback time.Duration) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return time.Duration(min(n, uint64(maxWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return fallback
}

// answerError turns an answer that is no success into an error. It reads the body.
func answerError(resp *http.Response, now time.Time) error {
	message := messageOf(resp)
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &LimitedError{RetryAfter: max(time.Second, retryAfter(resp.Header, now, time.Minute)), Message: message}
	case code == http.StatusNotFound && message == textNotSealed:
		return &NotSealedError{retryAfter(resp.Header, now, sealInterval)}
	case code == http.StatusBadRequest, code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound:
		return &RefusedError{Status: code, Message: message}
	case code >= 500 || code == http.StatusRequestTimeout:
		return &transientError{&StatusError{code, message}, retryAfter(resp.Header, now, 0)}
	case code >= 300 && code < 400:
		to := ""
		if u, err := resp.Location(); err == nil && u.Host != "" { // its query may be a secret
			to = " to " + originOf(u, u.Scheme) + strings.TrimSuffix(u.EscapedPath(), discoveryPath)
		}
		return &StatusError{code, "it redirects" + to + "; use the URL that callvault itself has"}
	default:
		return &StatusError{code, message}
	}
}

// messageOf reads the message from an error body of callvault or of a token endpoint. It replaces
// control characters and those of text direction, which could deceive whoever reads it in a
// terminal.
func messageOf(resp *http.Response) string {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err != nil || json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		return http.StatusText(resp.StatusCode)
	}
	text := answer.Error
	if answer.Description != "" {
		text += ": " + answer.Description
	}
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// sendError says why there was no answer. It leaves the URL out, which may be a link.
func sendError(ctx context.Context, err error) error {
	var with *url.Error
	if errors.As(err, &with) {
		err = with.Err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &transientError{err: fmt.Errorf("the server cannot be reached: %w", err)}
}
