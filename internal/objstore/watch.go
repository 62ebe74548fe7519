package objstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// watch cancels its context when nothing has moved for a while. A TCP
// connection to a frozen server looks healthy for ever.
type watch struct {
	ctx    context.Context // what the watch guards
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// newWatch starts counting at once.
func newWatch(parent context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(parent)
	w := &watch{ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() {
		cancel(domain.Errorf(domain.KindUnavailable, "no byte moved for %s", limit))
	})
	return w
}

// within allows so much time from now on.
func (w *watch) within(limit time.Duration) { w.timer.Reset(limit) }

// pause stops counting until within is called.
func (w *watch) pause() { w.timer.Stop() }

// end releases the context; the request is over.
func (w *watch) end() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// watchedBody is an object's bytes as they arrive. Only the time spent waiting
// in Read counts, not what the reader does in between.
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

// watchedUpload hands bytes to the transport. When the last one is handed
// over, the store gets more time for its answer. It is a Seeker, so that
// minio-go can go back for another try.
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
