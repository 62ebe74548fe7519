package web

import (
	"context"
	"errors"
	"slices"

	"github.com/callvault/callvault/internal/domain"
)

// stepError is an error with what the handler was doing.
type stepError struct {
	error
	doing string
}

func (s stepError) Unwrap() error { return s.error }

// Step adds to an error what the handler was doing, for the log. It gives nil for nil.
func Step(doing string, err error) error {
	if err == nil {
		return nil
	}
	return stepError{err, doing}
}

// Doing is what the handler was doing when err came, as Step said.
func Doing(err error) string {
	s, _ := errors.AsType[stepError](err)
	return s.doing
}

// Unavailable says whether the request may succeed when it is sent again: a dependency did not
// answer, or the error is of one of more kinds.
func Unavailable(err error, more ...domain.Kind) bool {
	kind := domain.KindOf(err)
	return kind == domain.KindUnavailable || slices.Contains(more, kind) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
