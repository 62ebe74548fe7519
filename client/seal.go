package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/callvault/callvault/client/dayseal"
)

const sealName = "day.seal"

// SealState is the outcome of a pull for the seal of a day.
type SealState string

// The states of a seal. The state is "" when the pull did not look for the seal, because hours are
// pending or failed here.
const (
	SealSaved   SealState = "saved"    // day.seal is new, or newer than it was
	SealPresent SealState = "present"  // day.seal is of these archives
	SealAwaited SealState = "awaited"  // the server's seal of these archives is not out yet
	SealNone    SealState = "no_seals" // the server, of a former version, makes none
	SealError   SealState = "error"    // see SealErr
)

// NotSealedError is the answer for a day whose seal is not out yet.
type NotSealedError struct {
	RetryAfter time.Duration
}

// Error has the wait.
func (e *NotSealedError) Error() string {
	return fmt.Sprintf("the day is not sealed yet; ask again in %s", e.RetryAfter.Round(time.Second))
}

// textNotSealed is the message of a server that makes seals.
const textNotSealed = "The day is not sealed yet."

// Seal gets the newest seal of a day, YYYY-MM-DD in UTC. Its proof is not checked. Errors:
// *NotSealedError and those of Day.
func (c *Client) Seal(ctx context.Context, day string) (*dayseal.Seal, error) {
	var text json.RawMessage
	if err := c.getDay(ctx, day, "/seal", func() any { text = nil; return &text }); err != nil {
		return nil, fmt.Errorf("ask for the seal of %s: %w", day, err)
	}
	s, err := dayseal.Parse(text)
	if err == nil && s.Day != day {
		err = fmt.Errorf("it is the seal of %.20q", s.Day)
	}
	if err != nil {
		return nil, fmt.Errorf("the server's seal of %s: %w", day, err)
	}
	return s, nil
}

// sealAge compares a seal with the links of a day: 0 if it is of these archives, -1 if it is older
// than they are, 1 if it is newer.
func sealAge(s *dayseal.Seal, links []Link) int {
	age := 0
	for i := range links {
		l, h := &links[i], &s.Hours[i]
		sum := ""
		if h.ManifestSHA256 != nil {
			sum = *h.ManifestSHA256
		}
		switch {
		case h.Revision > l.Revision:
			return 1
		case h.Revision < l.Revision || h.State != l.Status || l.Status == StatusAvailable && sum != l.ManifestSHA256:
			age = -1
		}
	}
	return age
}

const (
	maxSealWait  = 3 * time.Minute  // of a pull; a seal is out a minute after its archives
	sealInterval = 15 * time.Second // between two requests for a newer seal
)

// readSeal reads the folder's day.seal. Its error is fs.ErrNotExist when there is none.
func (f *folder) readSeal() (*dayseal.Seal, error) {
	if f.root == nil {
		return nil, fs.ErrNotExist
	}
	text, err := readFile(f.root, sealName)
	if err != nil {
		return nil, err
	}
	s, err := dayseal.Parse(text)
	if err == nil && s.Day != f.date {
		err = fmt.Errorf("it is the seal of %.20q", s.Day)
	}
	return s, err
}

// seal keeps the folder's day.seal up to date, after the archives. It asks the server only if
// day.seal is not of these archives, or if all are to be read again.
func (p *pull) seal(ctx context.Context, f *folder, d *Day) (SealState, error) {
	have, err := f.readSeal()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		p.progress.Note(fmt.Sprintf("%s/%s: %v. Asking for it again.", f.date, sealName, err))
		have = nil
	case sealAge(have, d.Links) == 0 && !p.opts.Recheck:
		return SealPresent, nil
	}
	s, state, err := p.askSeal(ctx, d)
	if s == nil {
		return state, err
	}
	if have != nil {
		switch {
		case bytes.Equal(have.Data(), s.Data()):
			return SealPresent, nil
		case !sealedLater(s, have):
			return SealError, fmt.Errorf("%s is another seal than the server's, which is not newer (%s): one of them was changed, or the server lost one; keep it, and move it away to get the server's",
				f.path(sealName), s.SealedAt.UTC().Format(time.RFC3339))
		}
	}
	text, err := s.Text()
	if err == nil {
		err = writeFile(f.root, sealName, text)
	}
	if err != nil {
		return SealError, fmt.Errorf("write %s: %w", sealName, err)
	}
	return SealSaved, nil
}

// sealedLater reports whether a is a newer seal of the day than b. Higher revisions make it newer,
// because the server's clock may have been ahead when b was made. Else its time decides.
func sealedLater(a, b *dayseal.Seal) bool {
	lower, higher := false, false
	for i := range a.Hours {
		lower = lower || a.Hours[i].Revision < b.Hours[i].Revision
		higher = higher || a.Hours[i].Revision > b.Hours[i].Revision
	}
	return higher && !lower || a.SealedAt.After(b.SealedAt)
}

// askSeal asks for the seal of the day's archives. A pull that waits for hours waits for the seal
// too, for at most maxSealWait over all days. The state says why there is no seal.
func (p *pull) askSeal(ctx context.Context, d *Day) (*dayseal.Seal, SealState, error) {
	for {
		s, err := p.client.Seal(ctx, d.Date)
		var early *NotSealedError
		var refused *RefusedError
		wait := sealInterval
		switch {
		case err == nil && sealAge(s, d.Links) == 0:
			return s, "", nil
		case err == nil && sealAge(s, d.Links) > 0:
			p.progress.Note(d.Date + ": a newer revision came while the day was pulled; pull it again")
			return nil, SealAwaited, nil
		case errors.As(err, &early):
			wait = early.RetryAfter
		case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
			if !p.noSeals {
				p.progress.Note("the server makes no seals of days: it is of a former version")
			}
			p.noSeals = true
			return nil, SealNone, nil
		case err != nil:
			return nil, SealError, err
		}
		asked := p.opts.WaitPending || p.opts.WaitRebuilding
		if wait = max(wait, p.client.cfg.Backoff); !asked || p.sealWaited+wait > maxSealWait {
			p.progress.Note(d.Date + ": the seal of these archives is not out yet; pull the day again later to get it")
			return nil, SealAwaited, nil
		}
		p.sealWaited += wait
		if err := pause(ctx, wait); err != nil {
			return nil, SealError, err
		}
	}
}

// keptSeal compares day.seal with the archives of a day that the server no longer has.
func (p *pull) keptSeal(f *folder) (SealState, error) {
	s, err := f.readSeal()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	links, older := make([]Link, len(f.last.Links)), false
	for i, l := range f.last.Links {
		links[i] = l.link()
		links[i].Status = l.Status
		older = older || err == nil && l.Revision > s.Hours[i].Revision
	}
	switch {
	case err != nil:
	case older: // the newer seal was not out when the day was last pulled
		p.progress.Note(f.date + ": the seal is of former revisions, and the server no longer has the newer one")
		return SealAwaited, nil
	case sealAge(s, links) != 0:
		err = errors.New("it is the seal of other archives")
	}
	if err != nil {
		return SealError, fmt.Errorf("%s: %w", f.path(sealName), err)
	}
	return SealPresent, nil
}

// sealable reports whether the day's archives are all here, as far as the server has them.
func (d *DayResult) sealable() bool {
	return d.count(func(h HourResult) bool {
		switch h.State {
		case HourPending, HourLimited, HourRefused, HourError:
			return true
		case HourDownloaded, HourPresent, HourNoData, HourFailed:
		}
		return false
	}) == 0
}
