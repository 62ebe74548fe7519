package webhooks

import (
	"bytes"
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

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const (
	answerBytes = 16 << 10 // of a body that are read: some receivers stop their work when nobody listens
	headerBytes = 64 << 10
	errorBytes  = 300 // of an error that is kept
)

// SenderConfig bounds a Sender. Zero fields take the defaults.
type SenderConfig struct {
	Rules   Rules
	Timeout time.Duration  // of a try, from the name's lookup to the answer's end (15 s)
	Agent   string         // User-Agent
	Roots   *x509.CertPool // who vouches for receivers; the system's when nil
}

// Sender makes tries. It follows no redirect, uses no proxy, and calls no address that the rules
// forbid, wherever a name leads.
type Sender struct {
	cfg     SenderConfig
	vault   Vault
	now     func() time.Time
	clients map[string]*http.Client // by scheme: connections know which rules they were made under
}

// NewSender makes a Sender. now is the process's clock: receivers compare the timestamp of a
// signature with theirs.
func NewSender(cfg SenderConfig, vault Vault, now func() time.Time) *Sender {
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	if cfg.Agent == "" {
		cfg.Agent = "callvault-webhooks"
	}
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
			Proxy:               nil, // a proxy would connect for us to whatever it likes
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.cfg.Roots},
			TLSHandshakeTimeout: s.cfg.Timeout,
			// A receiver could talk into a connection that is kept, and net/http writes what it says to the standard log.
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: headerBytes,
			DisableCompression:     true,
		},
	}
}

// Send tries once to deliver and says what follows. Its error says that nothing was tried, because
// the secret can't be read.
func (s *Sender) Send(ctx context.Context, d *catalog.DeliveryClaim) (catalog.DeliveryOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	began := s.now()
	signature, err := sign(s.vault, &d.Endpoint, d.Event, began, d.At, d.Payload)
	if err != nil {
		return catalog.DeliveryOutcome{}, err
	}
	response, err := s.post(ctx, d, began, signature)
	a := catalog.DeliveryOutcome{RetryIn: again(d.Tries, 0)}
	if err == nil {
		if response.StatusCode != http.StatusSwitchingProtocols { // its body is the bare connection, which obeys no context
			_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerBytes)) // what it says besides its status is nobody's business
		}
		_ = response.Body.Close()
		a = judge(response, d.Tries, s.now())
	} else {
		a.Error = s.why(ctx, err)
	}
	a.Took = s.now().Sub(began)
	return a, nil
}

func (s *Sender) post(ctx context.Context, d *catalog.DeliveryClaim, at time.Time, signature string) (*http.Response, error) {
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
	r.Header.Set(standardwebhooks.HeaderWebhookID, d.Event)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return client.Do(r)
}

// judge says what an answer means.
func judge(r *http.Response, tries int, now time.Time) catalog.DeliveryOutcome {
	a := catalog.DeliveryOutcome{Status: r.StatusCode, RetryIn: again(tries, retryAfter(r, now))}
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

// why says in words that can be shown why no answer came. The URL is left out, since receivers put
// secrets into theirs.
func (s *Sender) why(ctx context.Context, err error) string {
	var known *domain.Error
	var of *url.Error
	var timeout net.Error
	switch {
	case errors.As(err, &known):
		return known.Msg
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %s", s.cfg.Timeout)
	case errors.As(err, &of):
		err = of.Err
	}
	return "no answer: " + plain(err.Error())
}

// plain makes what may be a receiver's own bytes a short text that every database takes and that
// steers no terminal.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), errorBytes)], "")
}
