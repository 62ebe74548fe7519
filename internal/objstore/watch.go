package objstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// watch cancels its context when no byte was transferred for some time. TCP itself does not notice
// a frozen server.
type watch struct {
	ctx    context.Context // of the watched request
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// newWatch starts the time at once.
func newWatch(parent context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(parent)
	w := &watch{ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() {
		cancel(domain.Errorf(domain.KindUnavailable, "no byte moved for %s", limit))
	})
	return w
}

// within allows this much time from now on.
func (w *watch) within(limit time.Duration) { w.timer.Reset(limit) }

// pause stops the time until within is called.
func (w *watch) pause() { w.timer.Stop() }

// end releases the context; the request is over.
func (w *watch) end() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// watchedBody is a body whose reads are watched. Only the time in Read counts, not the time between
// two calls.
type watchedBody struct {
	body   io.ReadCloser
	watch  *watch
	limit  time.Duration
	bucket *Bucket
	key    string
}

func (r *watchedBody) Read(p []byte) (int, error) {
	r.watch.within(r.limit)
	n, err := r.body.Read(p)
	r.watch.pause()
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.bucket.failure(r.watch.ctx, "read", r.key, err)
	}
	return n, err
}

func (r *watchedBody) Close() error {
	r.watch.end()
	return r.body.Close()
}

// watchedUpload is an upload whose reads by the transport are watched. After the last byte the
// store has more time for its answer. It is a Seeker, so that minio-go can repeat the request.
type watchedUpload struct {
	data   *bytes.Reader
	watch  *watch
	limit  time.Duration
	answer time.Duration
}

func (r *watchedUpload) Read(p []byte) (int, error) {
	n, err := r.data.Read(p)
	if r.data.Len() > 0 {
		r.watch.within(r.limit)
	} else {
		r.watch.within(r.answer)
	}
	return n, err
}

func (r *watchedUpload) Seek(offset int64, whence int) (int64, error) {
	r.watch.within(r.limit)
	return r.data.Seek(offset, whence)
}
