package dir

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// errFolder says that a key is a folder of other keys, or lies below another key.
var errFolder = domain.Errorf(domain.KindInvalid, "the key is a folder of another key, or the other way round; send line and audio under another one")

// errTwin is errOther for calls that write.
var errTwin = domain.Errorf(domain.KindInvalid, "the disk does not tell the key from that of another object, which differs in case or accents; send line and audio under another one")

func (b *Bucket) what(c call) string {
	if c.key == "" {
		return c.verb + " " + b.name
	}
	return c.verb + " " + b.name + "/" + c.key
}

// failure translates an error of the disk into a domain error that names the verb and the object.
func (b *Bucket) failure(ctx context.Context, c call, err error) error {
	what := b.what(c)
	var already *domain.Error
	switch {
	case context.Cause(ctx) != nil && errors.Is(err, context.Cause(ctx)):
		return objstore.Interrupted(what, context.Cause(ctx), err)
	case errors.As(err, &already):
		return domain.Wrap(already.Kind, already.Cause, "%s: %s", what, already.Msg)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		if gone := b.present(); gone != nil {
			return b.failure(ctx, c, gone)
		}
		return domain.Wrap(domain.KindNotFound, err, "%s: there is no such object", what)
	case errors.Is(err, fs.ErrExist):
		return domain.Wrap(domain.KindConflict, err, "%s: the object exists already", what)
	case errors.Is(err, fs.ErrPermission):
		return domain.Wrap(domain.KindUnavailable, objstore.Denial(err, "let callvault's user read and write "+b.cfg.Path), "%s: the disk does not allow this", what)
	case strings.Contains(err.Error(), "path escapes from parent"): // package os exports no error for it
		return domain.Wrap(domain.KindUnavailable, objstore.Denial(err, "put the file or folder itself in the link's place"), "%s: a link leads out of the bucket", what)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return domain.Wrap(domain.KindUnavailable, err, "%s: the disk is full", what)
	}
	return domain.Wrap(domain.KindUnavailable, err, "%s: the disk failed", what)
}

// outcome is the outcome of a call for metrics, in the words that package objstore uses for S3.
func outcome(err error) string {
	switch kind := domain.KindOf(err); {
	case err == nil:
		return "2xx"
	case kind == domain.KindInterrupted:
		return "canceled"
	case kind == domain.KindUnavailable && !objstore.Denied(err):
		return "5xx"
	}
	return "4xx"
}
