package webhooks

import (
	"crypto/rand"
	"encoding/base64"
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

// sign gives the value of the header webhook-signature: by the current secret, and for the grace
// time after a rotation by the former one too. Errors: KindInvalid when the master key does not
// open a secret, KindBadCatalog.
func sign(v Vault, e *catalog.Endpoint, id string, at time.Time, now time.Time, body []byte) (string, error) {
	secrets := []catalog.Sealed{e.Secret}
	if e.Former.Data != nil && now.Before(e.Until) {
		secrets = append(secrets, e.Former)
	}
	var list []string
	for _, s := range secrets {
		text, err := v.Open(about(e.ID), s.Data, s.Encrypted)
		if err != nil {
			return "", err
		}
		key, err := standardwebhooks.NewWebhook(string(text))
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
