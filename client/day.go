package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The values of a Link's Status.
const (
	StatusAvailable = "available"
	StatusNoData    = "no_data"
	StatusPending   = "pending"
	StatusFailed    = "failed"
)

// Day is the server's answer about one UTC day.
type Day struct {
	Date           string     `json:"date"` // YYYY-MM-DD
	TotalSessions  int64      `json:"totalSessions"`
	TotalFiles     int64      `json:"totalFiles"`
	TotalSizeBytes int64      `json:"totalSizeBytes"`
	GeneratedAt    *time.Time `json:"generatedAt"` // when first no hour was pending; nil before
	RetentionDays  int        `json:"retentionDays"`
	ExpiresAt      *time.Time `json:"expiresAt"` // nil while GeneratedAt is
	Links          []Link     `json:"links"`     // one an hour, in order
}

// Link is one hour of a Day.
type Link struct {
	Hour string `json:"hour"` // "00" to "23"
	// URL fetches the archive without another credential, so it is a secret. "" unless available.
	URL              string     `json:"url"`
	SessionCount     int64      `json:"sessionCount"`
	FileCount        int64      `json:"fileCount"`
	SizeBytes        int64      `json:"sizeBytes"` // of the ZIP
	Status           string     `json:"status"`
	URLExpiresAt     *time.Time `json:"urlExpiresAt"`
	ManifestSHA256   string     `json:"manifestSha256"` // hex, of the ZIP's SHA256SUMS; "" unless available
	Revision         int64      `json:"revision"`
	Rebuilding       bool       `json:"rebuilding"` // a revision with newer recordings will follow
	MissingFileCount int64      `json:"missingFileCount"`
}

// Day gets one day, YYYY-MM-DD in UTC. The server allows a tenant 5 such answers an hour, unless it
// is set otherwise. Errors: *RefusedError, *LimitedError, *StatusError, those of ctx, and those of
// the network after the last attempt.
func (c *Client) Day(ctx context.Context, day string) (*Day, error) {
	var d *Day
	err := c.getDay(ctx, day, "", func() any { d = new(Day); return d })
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", day, err)
	}
	if err := d.check(day, c.base.Scheme == "https"); err != nil {
		return nil, fmt.Errorf("ask for %s: the answer is not what callvault gives: %w", day, err)
	}
	return d, nil
}

// getDay gets a document of a day. Each try reads it into what document returns, an empty one.
func (c *Client) getDay(ctx context.Context, day, path string, document func() any) error {
	if !isDay(day) {
		return fmt.Errorf("%q is not a day such as 2025-12-12", day)
	}
	stale := ""
	return c.retry(ctx, func() error {
		for {
			token, err := c.bearer(ctx, stale)
			if err != nil {
				var transient *transientError
				if errors.As(err, &transient) { // bearer has tried often enough
					err = transient.err
				}
				return fmt.Errorf("get an access token: %w", err)
			}
			err = limitOf(c.getJSON(ctx, c.base.String()+"/api/external/conversations/daily-audio-recordings/"+day+path, token, document()), "requests for days in an hour")
			var refused *RefusedError
			if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && stale == "" {
				stale = token // it ended early, by a rotated key for example: try once with a new one
				continue
			}
			return err
		}
	})
}

// maxArchive is the most bytes of an archive, as callvault builds them: what S3 takes.
const maxArchive = 5 << 40

// check refuses an answer by which a pull would write other files than the day's 24 archives, or
// send a link unencrypted that came encrypted.
func (d *Day) check(day string, encrypted bool) error {
	if d.Date != day {
		return fmt.Errorf("it is about %.20q", d.Date)
	}
	if fault := hoursFault(d.Links); fault != "" {
		return errors.New(fault)
	}
	for i := range d.Links {
		l := &d.Links[i]
		if l.Status != StatusAvailable {
			continue
		}
		u, err := url.Parse(l.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("hour %s has no link", l.Hour)
		}
		if encrypted && u.Scheme != "https" {
			return fmt.Errorf("an https server names a link without https for hour %s", l.Hour)
		}
		if l.SizeBytes <= 0 || l.SizeBytes > maxArchive {
			return fmt.Errorf("hour %s has %d bytes, which no archive has", l.Hour, l.SizeBytes)
		}
		if sum, err := hex.DecodeString(l.ManifestSHA256); err != nil || len(sum) != sha256.Size && len(sum) != 0 {
			return fmt.Errorf("the manifestSha256 of hour %s is no SHA-256", l.Hour)
		}
	}
	return nil
}

// hoursFault says why links are not those of a day's hours in order; "" if they are.
func hoursFault[L interface{ hour() string }](links []L) string {
	if len(links) != 24 {
		return fmt.Sprintf("it has %d hours instead of 24", len(links))
	}
	for i := range links {
		if hour := links[i].hour(); hour != fmt.Sprintf("%02d", i) {
			return fmt.Sprintf("hour %d is named %.20q", i, hour)
		}
	}
	return ""
}

func (l Link) hour() string { return l.Hour }
