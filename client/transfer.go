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

// maxRedirects is how often a link may send on: once is what callvault does.
const maxRedirects = 5

// errStalled ends an attempt that brings nothing.
var errStalled = errors.New("nothing came for too long")

// errChanged is an answer that does not continue what was begun.
var errChanged = errors.New("the server has other bytes than before")

// errTooLong is a body with more bytes than the day's answer says.
var errTooLong = errors.New("the server sends more bytes than it announced")

// staleError is a link that the server takes no more: a fresh one may help.
type staleError struct{ err error }

func (e *staleError) Error() string { return e.err.Error() }
func (e *staleError) Unwrap() error { return e.err }

// transfer downloads one archive.
type transfer struct {
	client   *Client
	link     Link
	day      string
	part     *part
	name     string // for progress: DAY/HH.zip
	progress Progress
}

// download brings the link's archive to path, continuing what is at path.part.
// progressed says whether a byte came. Errors: *staleError, *LimitedError,
// *RefusedError, *DamagedError, *StatusError, and those of network and files.
// What has come stays for the next time, damaged bytes aside.
func (c *Client) download(ctx context.Context, path, day string, l Link, progress Progress) (progressed bool, err error) {
	p, err := openPart(path+".part", l)
	if err != nil {
		return false, err
	}
	t := &transfer{client: c, link: l, day: day, part: p, name: day + "/" + l.Hour + ".zip", progress: progress}
	from := p.at
	progress.Start(t.name, from, l.SizeBytes)
	err = t.run(ctx)
	progressed = err == nil || p.at != from
	if err == nil {
		err = p.publish(path)
	} else {
		err = errors.Join(err, p.file.Close())
	}
	progress.End(t.name, err)
	return progressed, err
}

// run fills the part until it passes the checks. Bytes that do not are fetched
// again, once: a part can outlive a power failure that lost some of it.
func (t *transfer) run(ctx context.Context) error {
	for again := false; ; again = true {
		if err := t.fill(ctx); err != nil {
			return err
		}
		err := checkArchive(ctx, t.part.path, t.day, t.link)
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			return err
		}
		if dropped := t.part.drop(); dropped != nil || again {
			return errors.Join(err, dropped)
		}
		t.progress.Note(t.name + ": " + damaged.Error() + " Fetching it once more.")
		t.progress.Start(t.name, 0, t.link.SizeBytes)
	}
}

// fill fetches until all bytes are there. Bytes that came before and were dropped since are no
// progress: else a server that changes its mind for ever would never be given up.
func (t *transfer) fill(ctx context.Context) error {
	failures, most := 0, t.part.at
	for t.part.at < t.link.SizeBytes {
		err := t.once(ctx)
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
		case t.part.at > most:
			failures, most = 0, t.part.at
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

// once is one attempt: from where the part ends, as far as the connection holds.
func (t *transfer) once(ctx context.Context) error {
	attempt, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.client.cfg.AnswerTimeout, func() { cancel(errStalled) })
	defer watch.Stop()
	resp, redirected, err := t.send(attempt)
	if err != nil {
		return t.cause(ctx, attempt, err)
	}
	defer resp.Body.Close()
	if err := t.accept(resp, redirected); err != nil {
		return err
	}
	watch.Reset(t.client.cfg.StallTimeout)
	beat := func(n int) {
		watch.Reset(t.client.cfg.StallTimeout)
		t.progress.Advance(t.name, int64(n))
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := t.part.Write(buf[:n]); err != nil {
				return err
			}
			beat(n)
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return t.cause(ctx, attempt, sendError(attempt, err))
		case t.part.at < t.link.SizeBytes:
			return &transientError{err: errors.New("the connection ended early")}
		default:
			return nil
		}
	}
}

// cause finds out why an attempt was cut: by the caller, by the watchdog, or
// by what err says.
func (t *transfer) cause(ctx, attempt context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(context.Cause(attempt), errStalled):
		return &transientError{err: errStalled}
	}
	return err
}

// send asks for the rest of the archive and follows to where the link leads. No
// request carries the access token: stores refuse a second credential.
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
		if t.part.at > 0 {
			req.Header.Set("Range", "bytes="+strconv.FormatInt(t.part.at, 10)+"-")
			if t.part.of.ETag != "" {
				req.Header.Set("If-Range", t.part.of.ETag)
			}
		}
		// Not through the http.Client, whose errors tell where a redirect leads.
		resp, err := t.client.http.Transport.RoundTrip(req)
		if err != nil {
			return nil, false, sendError(ctx, err)
		}
		if resp.StatusCode < 300 || resp.StatusCode >= 400 || resp.Header.Get("Location") == "" {
			return resp, redirected, nil
		}
		next, err := resp.Location()
		_ = resp.Body.Close() // nothing was read that could be lost
		if err != nil {
			return nil, false, errors.New("the link leads to no URL")
		}
		if address.Scheme == "https" && next.Scheme != "https" {
			return nil, false, errors.New("the link leads from https to an address without it")
		}
		address, redirected = next, true
	}
	return nil, false, fmt.Errorf("the link leads on more than %d times", maxRedirects-1)
}

// accept decides whether the answer's body continues the part.
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
		// The store's answer: its URL lives a minute, so the link is followed anew.
		return &transientError{err: &StatusError{resp.StatusCode, "the object store does not give the archive"}}
	}
	err := limitOf(answerError(resp, t.client.cfg.Now()), "downloads of one link in an hour")
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusNotFound {
		return &staleError{err}
	}
	return err
}

// acceptRest takes a 206. Stores ignore If-Range, so the ETag is compared here.
func (t *transfer) acceptRest(resp *http.Response) error {
	var first, last, total int64
	_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total)
	etag := resp.Header.Get("ETag")
	if err != nil || first != t.part.at || total != t.link.SizeBytes || etag != "" && t.part.of.ETag != "" && etag != t.part.of.ETag {
		return errChanged
	}
	return nil
}

// acceptWhole takes a 200, which starts at the first byte whatever was asked for.
func (t *transfer) acceptWhole(resp *http.Response) error {
	if resp.ContentLength >= 0 && resp.ContentLength != t.link.SizeBytes {
		return fmt.Errorf("the server sends %d bytes where it announced %d", resp.ContentLength, t.link.SizeBytes)
	}
	if t.part.at > 0 {
		t.progress.Note(t.name + ": the server does not continue what was begun; starting over")
		t.progress.Start(t.name, 0, t.link.SizeBytes)
	}
	if err := t.part.drop(); err != nil {
		return err
	}
	etag := resp.Header.Get("ETag")
	if strings.HasPrefix(etag, "W/") {
		etag = "" // says too little to continue by
	}
	return t.part.begin(etag)
}
