package webhooks

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const secretPrefix = "whsec_"

// secretBytes is what a secret holds; Standard Webhooks asks for 24 to 64.
const secretBytes = 32

// Vault encrypts what is stored; see auth.Vault.
type Vault interface {
	Seal(about string, plain []byte) (data []byte, encrypted bool)
	Open(about string, data []byte, encrypted bool) ([]byte, error)
}

func about(endpoint string) string { return "webhook/" + endpoint }

// newSecret makes a secret for an endpoint: as its receiver is told it, and as it is stored.
func newSecret(v Vault, endpoint string) (string, catalog.Sealed) {
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never fails: it ends the process instead
	text := secretPrefix + base64.StdEncoding.EncodeToString(raw[:])
	data, encrypted := v.Seal(about(endpoint), []byte(text))
	return text, catalog.Sealed{Data: data, Encrypted: encrypted}
}

// formerSecret is one that signs too for a while.
type formerSecret struct {
	text  string
	until time.Time
}

// keptFormers bounds how many sign too: each is a signature in every delivery.
const keptFormers = 4

// formerSecrets opens those that still sign, the latest first: whsec_…@ and the end in Unix seconds, with a
// space between. Errors as of Vault.
func formerSecrets(v Vault, e *catalog.Endpoint, now time.Time) (list []formerSecret, err error) {
	if e.Former.Data == nil || !now.Before(e.Until) {
		return nil, nil
	}
	opened, err := v.Open(about(e.ID), e.Former.Data, e.Former.Encrypted)
	if err != nil {
		return nil, err
	}
	for one := range strings.FieldsSeq(string(opened)) {
		f := formerSecret{one, e.Until}
		if text, end, found := strings.Cut(one, "@"); found {
			seconds, err := strconv.ParseInt(end, 10, 64)
			if err != nil {
				return nil, domain.Wrap(domain.KindBadCatalog, err, "a webhook's former secret can't be read")
			}
			f = formerSecret{text, time.Unix(seconds, 0)}
		}
		if now.Before(f.until) {
			list = append(list, f)
		}
	}
	return list, nil
}

// retire gives what signs too when an endpoint's secret becomes a former one, and until when. What
// can't be opened ends: nobody could sign by it.
func retire(v Vault, e *catalog.Endpoint, at time.Time, grace time.Duration) (kept catalog.Sealed, until time.Time) {
	current, err := v.Open(about(e.ID), e.Secret.Data, e.Secret.Encrypted)
	if grace <= 0 || err != nil {
		return kept, until
	}
	until = at.Add(grace)
	list := []formerSecret{{string(current), until}}
	if before, err := formerSecrets(v, e, at); err == nil {
		list = append(list, before[:min(len(before), keptFormers-1)]...)
	}
	texts := make([]string, 0, len(list))
	for _, f := range list {
		texts = append(texts, f.text+"@"+strconv.FormatInt(f.until.Unix(), 10))
		if f.until.After(until) {
			until = f.until
		}
	}
	data, encrypted := v.Seal(about(e.ID), []byte(strings.Join(texts, " ")))
	return catalog.Sealed{Data: data, Encrypted: encrypted}, until
}

// sign gives the value of the header webhook-signature: by the current secret, and for the grace
// time after a rotation by former ones too. Errors: KindInvalid when the master key does not
// open a secret, KindBadCatalog.
func sign(v Vault, e *catalog.Endpoint, id string, at time.Time, now time.Time, body []byte) (string, error) {
	current, err := v.Open(about(e.ID), e.Secret.Data, e.Secret.Encrypted)
	if err != nil {
		return "", err
	}
	secrets, err := formerSecrets(v, e, now)
	if err != nil {
		return "", err
	}
	var list []string
	for _, s := range slices.Insert(secrets, 0, formerSecret{text: string(current)}) {
		key, err := standardwebhooks.NewWebhook(s.text)
		if err != nil {
			return "", domain.Wrap(domain.KindBadCatalog, err, "a webhook's secret can't be read")
		}
		signature, err := key.Sign(id, at, body)
		if err != nil {
			return "", domain.Wrap(domain.KindInternal, err, "an event can't be signed")
		}
		list = append(list, signature)
	}
	return strings.Join(list, " "), nil
}
