package objstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// failure translates what minio-go or the network reports into a domain error
// that names the verb and the object.
func (b *Bucket) failure(ctx context.Context, verb, key string, err error) error {
	what := verb + " " + b.name
	if key != "" {
		what += "/" + key
	}
	// The URL in an error can contain a signature, so only the error inside is kept.
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		return Interrupted(what, cause, err)
	}
	var already *domain.Error
	if errors.As(err, &already) {
		return domain.Wrap(already.Kind, err, "%s", what)
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return domain.Wrap(domain.KindUnavailable, err, "%s: the object store can't be reached", what)
	}
	if answer.Code == minio.NoSuchBucket {
		return missingBucket(verb, b.name, err)
	}
	v := b.store.classify(answer)
	text := what + ": " + v.reason
	if v.kind == domain.KindRefused || v.kind == domain.KindInvalid {
		text += " (" + b.store.storeText(answer) + ")"
	}
	return domain.Wrap(v.kind, &storeError{verdict: v, code: answer.Code, cause: err}, "%s", text)
}

// storeError is an error that the store answered.
type storeError struct {
	verdict
	code  string
	cause error
}

// Error returns the store's code and text.
func (a *storeError) Error() string { return fmt.Sprintf("%s: %v", a.code, a.cause) }

func (a *storeError) Unwrap() error { return a.cause }

// Advice says what an operator can do about an error of this package; "" when that is unknown.
func Advice(err error) string {
	var a *storeError
	if errors.As(err, &a) {
		return a.advice
	}
	return ""
}

// Denial is a store's error about something that it does not allow; [Denied] knows it.
func Denial(cause error, advice string) error {
	return &storeError{verdict: verdict{kind: domain.KindUnavailable, advice: advice, denied: true}, code: "denied", cause: cause}
}

// Denied says whether the store answered that these credentials may not do this. The denial may be
// for one object or for the whole bucket.
func Denied(err error) bool {
	var a *storeError
	return errors.As(err, &a) && a.denied
}

// Refused says whether the store answered that it will not do this, because a right is missing or
// the object is locked, for example. It may still do the same for other objects. A store that does
// not answer, or does not know the credentials, has not refused.
func Refused(err error) bool {
	var a *storeError
	if !errors.As(err, &a) {
		return false
	}
	return a.denied || a.kind != domain.KindUnavailable
}

// Interrupted is the error of a call whose context has ended by cause.
func Interrupted(what string, cause, err error) error {
	var already *domain.Error
	switch {
	case errors.As(cause, &already):
		return domain.Wrap(already.Kind, cause, "%s", what)
	case errors.Is(cause, context.DeadlineExceeded):
		return domain.Wrap(domain.KindUnavailable, cause, "%s: no answer in time", what)
	}
	return domain.Wrap(domain.KindInterrupted, errors.Join(cause, err), "%s: interrupted", what)
}

func missingBucket(verb, name string, err error) error {
	return domain.Wrap(domain.KindUnavailable, err, "%s %s: there is no bucket of this name", verb, name)
}
