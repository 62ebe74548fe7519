package objstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	// A request's URL can hold a signature; what went wrong stands behind it.
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		return interrupted(what, cause, err)
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
	kind, reason := classify(answer)
	return domain.Wrap(kind, fmt.Errorf("%s (%d): %w", answer.Code, answer.StatusCode, err), "%s: %s", what, reason)
}

func interrupted(what string, cause, err error) error {
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

// classify goes by the answer's code first, then by its status: stores agree
// on few codes.
func classify(answer minio.ErrorResponse) (domain.Kind, string) {
	switch answer.Code {
	case minio.NoSuchKey:
		return domain.KindNotFound, "there is no such object"
	case minio.NoSuchUpload:
		return domain.KindLost, "the upload is gone"
	case minio.PreconditionFailed, "ConditionalRequestConflict":
		return domain.KindConflict, "the object exists already or has changed"
	case "InvalidRange":
		return domain.KindConflict, "the object is shorter than the range"
	case "BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
		"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "IncompleteBody", "InvalidRequest":
		return domain.KindStoreFault, "the object store refused the bytes"
	case "EntityTooLarge":
		return domain.KindTooLarge, "the object is larger than the object store takes"
	case "ObjectParentIsFile", "ExistingObjectIsDirectory", "DirectoryNotEmpty",
		"XMinioParentIsObject", "XMinioObjectExistsAsDirectory":
		return domain.KindInvalid, "the key is a folder of another key, or the other way round"
	case "KeyTooLongError", "XMinioInvalidObjectName", "InvalidObjectName", "InvalidURI":
		return domain.KindInvalid, "the object store does not take this key"
	case minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed":
		return domain.KindUnavailable, "the object store refuses the credentials"
	}
	switch answer.StatusCode {
	case http.StatusPreconditionFailed:
		return domain.KindConflict, "the object exists already or has changed"
	case http.StatusRequestedRangeNotSatisfiable:
		return domain.KindConflict, "the object is shorter than the range"
	case http.StatusRequestEntityTooLarge:
		return domain.KindTooLarge, "the object is larger than the object store takes"
	case http.StatusForbidden, http.StatusUnauthorized:
		return domain.KindUnavailable, "the object store refuses the credentials"
	}
	return domain.KindUnavailable, "the object store failed"
}
