package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// answer is the response of a server.
type answer struct {
	code    int
	status  string
	header  http.Header
	body    []byte
	expires time.Time // of its certificate; zero without one
}

// followRedirect follows redirects of GET only. Some object stores redirect a request without a
// bucket to a website, whose answer and clock say nothing about the store.
func followRedirect(_ *http.Request, via []*http.Request) error {
	if via[0].Method == http.MethodHead {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("it leads in circles")
	}
	return nil
}

// get sends one request. Its error does not contain the URL, which may be a signed link.
func (d *Doctor) get(ctx context.Context, method, address string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return answer{}, errors.New("the address cannot be asked")
	}
	resp, err := d.client.Do(r)
	if err != nil {
		var inURL *url.Error
		if errors.As(err, &inURL) {
			err = inURL.Err
		}
		return answer{}, fmt.Errorf("%s://%s does not answer: %w", r.URL.Scheme, r.URL.Host, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, fmt.Errorf("%s://%s breaks off: %w", r.URL.Scheme, r.URL.Host, err)
	}
	a := answer{code: resp.StatusCode, status: resp.Status, header: resp.Header, body: body}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		a.expires = resp.TLS.PeerCertificates[0].NotAfter
	}
	return a, nil
}

// document gets a JSON document.
func (d *Doctor) document(ctx context.Context, address string, into any) (answer, error) {
	a, err := d.get(ctx, http.MethodGet, address)
	if err != nil {
		return a, err
	}
	if a.code != http.StatusOK || json.Unmarshal(a.body, into) != nil {
		return a, fmt.Errorf("%s answers with %s and not with what is expected there", address, a.status)
	}
	return a, nil
}

// discovery is the part of an OIDC discovery document that the checks use.
type discovery struct {
	Issuer string `json:"issuer"`
	Keys   string `json:"jwks_uri"`
}

const wellKnown = "/.well-known/openid-configuration"

// renewBefore is how long before its end a certificate should be renewed.
const renewBefore = 14 * 24 * time.Hour

// publicURL requests the public URL as clients do, and checks that this installation answers.
func (d *Doctor) publicURL(ctx context.Context) Result {
	where := cmp.Or(d.s.Config.PublicURL, d.s.Running)
	switch {
	case d.unusable("CALLVAULT_PUBLIC_URL"):
		return skip("because CALLVAULT_PUBLIC_URL cannot be used")
	case where == "" && d.s.Absent != "":
		return skip("because disk is failing")
	case where == "":
		return skip("CALLVAULT_PUBLIC_URL is not set here; the API needs it")
	}
	const unreached = "start callvault api, or correct CALLVAULT_PUBLIC_URL and what stands in front of it (name, port, certificate)"
	var health struct {
		Status string `json:"status"`
	}
	if _, err := d.document(ctx, where+"/healthz", &health); err != nil || health.Status == "" {
		if err == nil {
			err = fmt.Errorf("%s/healthz is not callvault's", where)
		}
		return failErr(err, unreached)
	}
	var own discovery
	a, err := d.document(ctx, where+wellKnown, &own)
	if err != nil {
		return failErr(err, unreached)
	}
	if own.Issuer != where {
		return fail(fmt.Sprintf("the callvault at %s calls itself %s", where, own.Issuer), "set CALLVAULT_PUBLIC_URL alike for every process")
	}
	var keys jose.JSONWebKeySet
	if _, err := d.document(ctx, where+"/.well-known/jwks.json", &keys); err != nil {
		return failErr(err, unreached)
	}
	if len(d.public.Keys) > 0 && !slices.ContainsFunc(keys.Keys, func(k jose.JSONWebKey) bool { return len(d.public.Key(k.KeyID)) > 0 }) {
		return fail("another callvault answers at "+where+": its signing keys are not in this catalog", "correct CALLVAULT_PUBLIC_URL, or CALLVAULT_DATABASE_URL")
	}
	return d.checkTLS(where, a)
}

// checkTLS warns when a public URL has no TLS, or a certificate that ends soon.
func (d *Doctor) checkTLS(where string, a answer) Result {
	u, err := url.Parse(where)
	if err != nil {
		return failErr(err, "correct CALLVAULT_PUBLIC_URL")
	}
	saw := "this installation answers at " + where
	switch left := a.expires.Sub(d.s.Now()); {
	case u.Scheme != "https" && !loopback(u.Hostname()):
		return warn(saw+", unencrypted", "put TLS in front of it and begin CALLVAULT_PUBLIC_URL with https: tokens and recordings can be read on their way")
	case !a.expires.IsZero() && left < renewBefore:
		return warn(fmt.Sprintf("%s; its certificate ends %s", saw, a.expires.UTC().Format(time.RFC3339)), "renew the certificate")
	}
	return pass("%s", saw)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// outsideIssuer checks the outside issuer whose tokens are accepted too.
func (d *Doctor) outsideIssuer(ctx context.Context) Result {
	issuer := d.s.Config.OIDCIssuer
	switch {
	case d.unusable("CALLVAULT_OIDC_ISSUER"):
		return skip("because CALLVAULT_OIDC_ISSUER cannot be used")
	case issuer == "":
		return skip("CALLVAULT_OIDC_ISSUER is not set")
	}
	const advice = "correct CALLVAULT_OIDC_ISSUER, exactly as the issuer writes itself; let this host reach it"
	var found discovery
	if _, err := d.document(ctx, issuer+wellKnown, &found); err != nil {
		return failErr(err, advice)
	}
	if found.Issuer != issuer {
		return fail(fmt.Sprintf("%s calls itself %s", issuer, found.Issuer), advice)
	}
	var keys jose.JSONWebKeySet
	if _, err := d.document(ctx, found.Keys, &keys); err != nil {
		return failErr(err, "let this host reach the address that the issuer's discovery document names as jwks_uri")
	}
	if len(keys.Keys) == 0 {
		return fail(found.Keys+" names no keys", "let the issuer publish the keys that it signs with")
	}
	return pass("%s answers; keys: %d", issuer, len(keys.Keys))
}
