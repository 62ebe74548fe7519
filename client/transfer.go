package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxRedirects is how often a link may redirect; callvault redirects once.
const maxRedirects = 5

// errStalled cancels an attempt that receives no bytes.
var errStalled = errors.New("nothing came for too long")

// errChanged is an answer that does not continue the partial file.
var errChanged = errors.New("the server has other bytes than before")

// errTooLong is a body with more bytes than the link's SizeBytes.
var errTooLong = errors.New("the server sends more bytes than it announced")

// staleError means that the server accepts the link no more. It may accept a new one.
type staleError struct{ err error }

func (e *staleError) Error() string { return e.err.Error() }
func (e *staleError) Unwrap() error { return e.err }

// transfer downloads one archive.
type transfer struct {
	*pull
	link Link
	day  string
	part *part
	name string // for progress: DAY/HH.zip
}

// minProgress is how many bytes count as progress. With fewer in every attempt, or in the time of a
// stall, a server could hold a pull for ever.
const minProgress = 16 << 10

// download downloads the link's archive into the folder. It resumes HH.zip.part, and leaves there
// what it got when it fails, unless that is damaged. progressed says whether bytes arrived. Errors:
// *staleError, *LimitedError, *RefusedError, *DamagedError, *StatusError, and those of the network
// and of files.
func (p *pull) download(ctx context.Context, f *folder, l Link) (progressed bool, err error) {
	file := l.Hour + ".zip"
	if err := replaceable(f.root, file); err != nil {
		return false, err
	}
	part, err := openPart(f.root, file+".part", l)
	if err != nil {
		return false, err
	}
	if err := p.disk.reserve(part); err != nil {
		return false, errors.Join(err, part.file.Close())
	}
	defer p.disk.release(part)
	t := &transfer{pull: p, link: l, day: f.date, part: part, name: f.date + "/" + file}
	from := part.at.Load()
	p.progress.Start(t.name, from, l.SizeBytes)
	err = t.run(ctx)
	progressed = err == nil || part.at.Load() >= from+minProgress
	if err == nil {
		err = part.publish(file)
	} else {
		err = errors.Join(err, part.file.Close())
	}
	if err == nil {
		p.checks.set(f.date+"/"+l.Hour, true)
	}
	p.progress.End(t.name, err)
	return progressed, err
}

// run fills the part and checks the archive. If the check fails it downloads everything once more,
// since a power failure may have damaged bytes of an earlier run.
func (t *transfer) run(ctx context.Context) error {
	for again := false; ; again = true {
		if err := t.fill(ctx); err != nil {
			return err
		}
		err := t.checks.run(ctx, t.part.file, t.day, t.link)
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			return err
		}
		if again {
			err = fmt.Errorf("%w Downloaded twice: ask the operator of callvault to rebuild the hour", err)
		}
		if dropped := t.part.drop(); dropped != nil || again {
			return errors.Join(err, dropped)
		}
		t.progress.Note(t.name + ": " + damaged.Error() + " Fetching it once more.")
		t.progress.Start(t.name, 0, t.link.SizeBytes)
	}
}

// fill repeats attempts until all bytes are there. Only bytes beyond the longest part so far count
// as progress: else it would never fail with a server that changes its bytes again and again.
func (t *transfer) fill(ctx context.Context) error {
	failures, most := 0, t.part.at.Load()
	for t.part.left() > 0 {
		err := t.attempt(ctx)
		if errors.Is(err, errChanged) {
			if dropped := t.part.drop(); dropped != nil {
				return dropped
			}
			t.progress.Note(t.name + ": " + err.Error() + "; starting over")
			t.progress.Start(t.name, 0, t.link.SizeBytes)
			err = &transientError{err: err}
		}
		var transient *transientError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &transient):
			return err
		case t.part.at.Load() >= most+minProgress:
			failures, most = 0, t.part.at.Load()
		}
		if failures++; failures >= t.client.cfg.Attempts {
			return transient.err
		}
		if err := pause(ctx, t.client.backoff(failures, err)); err != nil {
			return err
		}
	}
	return nil
}

// attempt sends one request for the rest of the archive and reads the answer.
func (t *transfer) attempt(ctx context.Context) error {
	attemptCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.client.cfg.AnswerTimeout, func() { cancel(errStalled) })
	defer watch.Stop()
	resp, redirected, err := t.send(attemptCtx)
	if err != nil {
		return t.cause(ctx, attemptCtx, err)
	}
	defer resp.Body.Close()
	if err := t.accept(resp, redirected); err != nil {
		return err
	}
	buf := make([]byte, 128<<10)
	for came := minProgress; ; {
		if came >= minProgress {
			came = 0
			watch.Reset(t.client.cfg.StallTimeout)
		}
		n, err := resp.Body.Read(buf)
		came += n
		if n > 0 {
			if _, err := t.part.Write(buf[:n]); err != nil {
				return err
			}
			t.progress.Advance(t.name, int64(n))
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return t.cause(ctx, attemptCtx, sendError(attemptCtx, err))
		case t.part.left() > 0:
			return &transientError{err: errors.New("the connection ended early")}
		default:
			return nil
		}
	}
}

// cause returns why an attempt failed: the error of ctx, errStalled, or else err.
func (t *transfer) cause(ctx, attemptCtx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(context.Cause(attemptCtx), errStalled):
		return &transientError{err: errStalled}
	}
	return err
}

// send requests the rest of the archive and follows redirects. No request has the access token,
// since object stores refuse a second credential.
func (t *transfer) send(ctx context.Context) (resp *http.Response, redirected bool, err error) {
	address, err := url.Parse(t.link.URL)
	if err != nil {
		return nil, false, errors.New("the link is no URL")
	}
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
		if err != nil {
			return nil, false, errors.New("the link is no URL")
		}
		req.Header.Set("Accept-Encoding", "identity") // ranges count the archive's own bytes
		if at := t.part.at.Load(); at > 0 {
			req.Header.Set("Range", "bytes="+strconv.FormatInt(at, 10)+"-")
			if t.part.info.ETag != "" {
				req.Header.Set("If-Range", t.part.info.ETag)
			}
		}
		// The errors of http.Client would contain the URL of a redirect, which is a secret.
		resp, err := t.client.http.Transport.RoundTrip(req)
		if err != nil {
			return nil, false, sendError(ctx, err)
		}
		if resp.StatusCode < 300 || resp.StatusCode >= 400 || resp.Header.Get("Location") == "" {
			return resp, redirected, nil
		}
		next, err := resp.Location()
		_ = resp.Body.Close() // the body of a redirect is not used
		if err != nil {
			return nil, false, errors.New("the link leads to no URL")
		}
		if next.Scheme != "https" && (next.Scheme != "http" || address.Scheme == "https") {
			return nil, false, errors.New("the link leads to an address that is no https URL")
		}
		address, redirected = next, true
	}
	return nil, false, fmt.Errorf("the link leads on more than %d times", maxRedirects-1)
}

// accept checks that the answer's body continues the part.
func (t *transfer) accept(resp *http.Response, redirected bool) error {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		return t.acceptRest(resp)
	case http.StatusOK:
		return t.acceptWhole(resp)
	case http.StatusRequestedRangeNotSatisfiable, http.StatusPreconditionFailed:
		return errChanged
	}
	if redirected {
		// It is the object store's answer. Its URL is valid for a minute only, so use the link
		// again.
		return &transientError{err: &StatusError{resp.StatusCode, "the object store does not give the archive"}}
	}
	err := limitOf(answerError(resp, t.client.cfg.Now()), "downloads of one link in an hour")
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusNotFound {
		return &staleError{err}
	}
	return err
}

// acceptRest checks a 206. Object stores ignore If-Range, so it compares the ETag.
func (t *transfer) acceptRest(resp *http.Response) error {
	var first, last, total int64
	_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total)
	etag := resp.Header.Get("ETag")
	if err != nil || first != t.part.at.Load() || total != t.link.SizeBytes || etag != "" && t.part.info.ETag != "" && etag != t.part.info.ETag {
		return errChanged
	}
	return nil
}

// acceptWhole checks a 200, which starts at the first byte, whatever the request said.
func (t *transfer) acceptWhole(resp *http.Response) error {
	if resp.ContentLength >= 0 && resp.ContentLength != t.link.SizeBytes {
		return fmt.Errorf("the server sends %d bytes where it announced %d", resp.ContentLength, t.link.SizeBytes)
	}
	if t.part.at.Load() > 0 {
		t.progress.Note(t.name + ": the server does not continue what was begun; starting over")
		t.progress.Start(t.name, 0, t.link.SizeBytes)
	}
	if err := t.part.drop(); err != nil {
		return err
	}
	etag := resp.Header.Get("ETag")
	if strings.HasPrefix(etag, "W/") {
		etag = "" // a weak ETag does not promise the same bytes
	}
	return t.part.begin(etag)
}
