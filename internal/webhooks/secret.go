package webhooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

const secretPrefix = "whsec_"

// secretBytes is the length of a secret. Standard Webhooks asks for 24 to 64 bytes.
const secretBytes = 32

// Vault encrypts what is stored; see auth.Vault.
type Vault interface {
	Seal(associated string, plain []byte) (data []byte, encrypted bool)
	Open(associated string, data []byte, encrypted bool) ([]byte, error)
}

// AssociatedData binds an endpoint's encrypted secrets to that endpoint.
func AssociatedData(endpoint string) string { return "webhook/" + endpoint }

// newSecret makes a secret for an endpoint. It returns the secret for the receiver and the
// encrypted one to store.
func newSecret(v Vault, endpoint string) (string, outbox.Sealed) {
	var raw [secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	text := secretPrefix + base64.StdEncoding.EncodeToString(raw[:])
	data, encrypted := v.Seal(AssociatedData(endpoint), []byte(text))
	return text, outbox.Sealed{Data: data, Encrypted: encrypted}
}

// formerSecret is a rotated secret that signs until its grace time ends.
type formerSecret struct {
	text  string
	until time.Time
}

// maxFormer bounds the former secrets that sign: each adds a signature to every delivery.
const maxFormer = 4

// formerSecrets decrypts the former secrets that still sign, the latest first. They are stored as
// one text, separated by spaces: whsec_…@ and the end in Unix seconds. Errors as of Vault.
func formerSecrets(v Vault, e *outbox.Endpoint, now time.Time) (list []formerSecret, err error) {
	if e.Former.Data == nil || !now.Before(e.Until) {
		return nil, nil
	}
	opened, err := v.Open(AssociatedData(e.ID), e.Former.Data, e.Former.Encrypted)
	if err != nil {
		return nil, err
	}
	for one := range strings.FieldsSeq(string(opened)) {
		text, end, _ := strings.Cut(one, "@")
		seconds, err := strconv.ParseInt(end, 10, 64)
		if err != nil {
			return nil, domain.Wrap(domain.KindBadCatalog, err, "a webhook's former secret can't be read")
		}
		if until := time.Unix(seconds, 0); now.Before(until) {
			list = append(list, formerSecret{text, until})
		}
	}
	return list, nil
}

// retire returns an endpoint's former secrets, with its current one as the latest, and until when
// they sign. Secrets that can't be decrypted are dropped.
func retire(v Vault, e *outbox.Endpoint, at time.Time, grace time.Duration) (kept outbox.Sealed, until time.Time) {
	current, err := v.Open(AssociatedData(e.ID), e.Secret.Data, e.Secret.Encrypted)
	if grace <= 0 || err != nil {
		return kept, until
	}
	until = at.Add(grace)
	list := []formerSecret{{string(current), until}}
	if before, err := formerSecrets(v, e, at); err == nil {
		list = append(list, before[:min(len(before), maxFormer-1)]...)
	}
	texts := make([]string, 0, len(list))
	for _, f := range list {
		texts = append(texts, f.text+"@"+strconv.FormatInt(f.until.Unix(), 10))
		if f.until.After(until) {
			until = f.until
		}
	}
	data, encrypted := v.Seal(AssociatedData(e.ID), []byte(strings.Join(texts, " ")))
	return outbox.Sealed{Data: data, Encrypted: encrypted}, until
}

// sign returns the value of the header webhook-signature: a signature by the current secret and one
// by each former secret in its grace time, as Standard Webhooks describes. Errors: KindInvalid when
// the master key does not decrypt a secret, KindBadCatalog.
func sign(v Vault, e *outbox.Endpoint, id string, at time.Time, now time.Time, body []byte) (string, error) {
	current, err := v.Open(AssociatedData(e.ID), e.Secret.Data, e.Secret.Encrypted)
	if err != nil {
		return "", err
	}
	secrets, err := formerSecrets(v, e, now)
	if err != nil {
		return "", err
	}
	var list []string
	for _, s := range slices.Insert(secrets, 0, formerSecret{text: string(current)}) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.text, secretPrefix))
		if err != nil {
			return "", domain.Wrap(domain.KindBadCatalog, err, "a webhook's secret can't be read")
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(fmt.Appendf(nil, "%s.%d.%s", id, at.Unix(), body))
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(list, " "), nil
}
