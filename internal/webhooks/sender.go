package webhooks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

const (
	answerBytes = 16 << 10 // read of a body: some receivers stop their work when it is not read
	headerBytes = 64 << 10
	errorBytes  = 300 // stored of an error
)

// SenderConfig bounds a Sender. Zero fields take the defaults.
type SenderConfig struct {
	Rules   Rules
	Timeout time.Duration  // of a try, from the name's look-up to the answer's end (15 s)
	Agent   string         // User-Agent
	Roots   *x509.CertPool // trusted for receivers' certificates; the system's when nil
}

// Sender sends deliveries. It follows no redirect, uses no proxy, and connects to no address that
// the rules forbid, whatever name led to it.
type Sender struct {
	cfg     SenderConfig
	vault   Vault
	now     func() time.Time
	clients map[string]*http.Client // by scheme, which the rules for addresses depend on
}

// NewSender makes a Sender. now is the process's clock, because receivers compare a signature's
// timestamp with their own clock.
func NewSender(cfg SenderConfig, vault Vault, now func() time.Time) *Sender {
	cfg.Timeout = cmp.Or(cfg.Timeout, 15*time.Second)
	cfg.Agent = cmp.Or(cfg.Agent, "callvault-webhooks")
	s := &Sender{cfg: cfg, vault: vault, now: now, clients: map[string]*http.Client{}}
	for _, scheme := range []string{"https", "http"} {
		s.clients[scheme] = s.client(scheme)
	}
	return s
}

func (s *Sender) client(scheme string) *http.Client {
	dialer := &net.Dialer{Timeout: s.cfg.Timeout, ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return domain.Errorf(domain.KindForbidden, "the host has no address that can be called")
		}
		return s.cfg.Rules.allow(scheme, at.Addr())
	}}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               nil, // a proxy would connect without regard to the rules
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.cfg.Roots},
			TLSHandshakeTimeout: s.cfg.Timeout,
			// A receiver could write into an idle connection, and net/http prints that to the
			// standard log.
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: headerBytes,
			DisableCompression:     true,
		},
	}
}

// Send tries once to deliver and returns the outcome. After an error nothing was sent, because the
// secret can't be read.
func (s *Sender) Send(ctx context.Context, d *outbox.DeliveryClaim) (outbox.DeliveryOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	began := s.now()
	signature, err := sign(s.vault, &d.Endpoint, d.Event, began, d.At, d.Payload)
	if err != nil {
		return outbox.DeliveryOutcome{}, err
	}
	response, err := s.post(ctx, d, began, signature)
	a := outbox.DeliveryOutcome{RetryIn: retryDelay(d.Tries, 0)}
	if err == nil {
		if response.StatusCode != http.StatusSwitchingProtocols { // its body is the bare connection, which ctx does not end
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerBytes)) // the status alone decides
		}
		_ = response.Body.Close()
		a = outcomeOf(response, d.Tries, s.now())
	} else {
		a.Error = s.reason(ctx, err)
	}
	a.Took = s.now().Sub(began)
	return a, nil
}

func (s *Sender) post(ctx context.Context, d *outbox.DeliveryClaim, at time.Time, signature string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Endpoint.URL, bytes.NewReader(d.Payload))
	if err != nil {
		return nil, domain.Errorf(domain.KindInvalid, "the URL can't be called")
	}
	client := s.clients[r.URL.Scheme]
	if client == nil {
		return nil, domain.Errorf(domain.KindInvalid, "the URL can't be called")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", s.cfg.Agent)
	r.Header.Set("webhook-id", d.Event)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("webhook-signature", signature)
	return client.Do(r)
}

func outcomeOf(r *http.Response, tries int, now time.Time) outbox.DeliveryOutcome {
	a := outbox.DeliveryOutcome{Status: r.StatusCode, RetryIn: retryDelay(tries, retryAfter(r, now))}
	switch {
	case r.StatusCode >= 200 && r.StatusCode < 300:
		a.Delivered = true
	case r.StatusCode == http.StatusGone:
		a.Gone, a.Error = true, "answered 410: the receiver wants no more"
	case r.StatusCode >= 300 && r.StatusCode < 400:
		a.Error = fmt.Sprintf("answered %d; redirects are not followed", r.StatusCode)
	default:
		a.Error = fmt.Sprintf("answered %d", r.StatusCode)
	}
	return a
}

// reason says why no answer came, in a text that can be shown. It leaves the URL out, because URLs
// of receivers can hold secrets.
func (s *Sender) reason(ctx context.Context, err error) string {
	var known *domain.Error
	var inURL *url.Error
	var timeout net.Error
	switch {
	case errors.As(err, &known):
		return known.Msg
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %s", s.cfg.Timeout)
	case errors.As(err, &inURL):
		err = inURL.Err
	}
	return "no answer: " + printable(err.Error())
}

// printable makes a short text of what may be a receiver's bytes: every database stores it, and it
// has no control characters for terminals.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), errorBytes)], "")
}
