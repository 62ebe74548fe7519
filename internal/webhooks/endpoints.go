package webhooks

import (
	"context"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/domain"
)

// After a rotation the former secret also signs for a grace time.
const (
	DefaultGrace = 24 * time.Hour
	MaxGrace     = 30 * 24 * time.Hour
)

// EndpointStore keeps endpoints. Errors as of the catalog's methods.
type EndpointStore interface {
	CreateEndpoint(ctx context.Context, e outbox.Endpoint, o audit.Origin) (outbox.Endpoint, error)
	SetEndpoint(ctx context.Context, tenant, id string, s outbox.EndpointChange, o audit.Origin) (outbox.Endpoint, error)
	RotateEndpoint(ctx context.Context, tenant, id string, fresh outbox.Sealed, former func(outbox.Endpoint, time.Time) (outbox.Sealed, time.Time),
		o audit.Origin) (outbox.Endpoint, error)
	SealEndpoints(ctx context.Context, seal func(id string, s outbox.Sealed) outbox.Sealed) error
}

// Endpoints makes and changes endpoints: for commands and the admin API.
type Endpoints struct {
	store EndpointStore
	vault Vault
	rules Rules
}

// NewEndpoints makes Endpoints.
func NewEndpoints(store EndpointStore, vault Vault, rules Rules) *Endpoints {
	return &Endpoints{store: store, vault: vault, rules: rules}
}

// Create adds an endpoint and returns its secret, which cannot be read again. Errors: KindInvalid
// for the URL or the events, KindNotFound, KindConflict; see catalog.CreateEndpoint.
func (s *Endpoints) Create(ctx context.Context, tenant, url string, events []string, o audit.Origin) (outbox.Endpoint, string, error) {
	if err := s.rules.CheckURL(url); err != nil {
		return outbox.Endpoint{}, "", err
	}
	e := outbox.Endpoint{ID: outbox.NewEndpointID(), Tenant: tenant, URL: url, Events: events}
	secret, sealed := newSecret(s.vault, e.ID)
	e.Secret = sealed
	e, err := s.store.CreateEndpoint(ctx, e, o)
	if err != nil {
		return e, "", err
	}
	return e, secret, nil
}

// Set changes an endpoint. Errors: KindInvalid, KindNotFound.
func (s *Endpoints) Set(ctx context.Context, tenant, id string, c outbox.EndpointChange, o audit.Origin) (outbox.Endpoint, error) {
	if c.URL != nil {
		if err := s.rules.CheckURL(*c.URL); err != nil {
			return outbox.Endpoint{}, err
		}
	}
	return s.store.SetEndpoint(ctx, tenant, id, c, o)
}

// Rotate gives an endpoint a new secret. The former secret also signs for grace, and so do earlier
// ones until their own grace ends: a second rotation must not invalidate the secret that the
// receiver has. A grace of 0 invalidates all of them. Errors: KindNotFound, KindInvalid for a grace
// below 0 or above MaxGrace.
func (s *Endpoints) Rotate(ctx context.Context, tenant, id string, grace time.Duration, o audit.Origin) (outbox.Endpoint, string, error) {
	if grace < 0 || grace > MaxGrace {
		return outbox.Endpoint{}, "", domain.Errorf(domain.KindInvalid, "the grace time must be 0 to %d seconds", int64(MaxGrace/time.Second))
	}
	secret, sealed := newSecret(s.vault, id)
	e, err := s.store.RotateEndpoint(ctx, tenant, id, sealed, func(e outbox.Endpoint, at time.Time) (outbox.Sealed, time.Time) {
		return retire(s.vault, &e, at, grace)
	}, o)
	if err != nil {
		return e, "", err
	}
	return e, secret, nil
}

// SealAll encrypts the secrets that are stored unencrypted.
func (s *Endpoints) SealAll(ctx context.Context) error {
	return s.store.SealEndpoints(ctx, func(id string, plain outbox.Sealed) outbox.Sealed {
		if plain.Encrypted {
			return plain
		}
		data, encrypted := s.vault.Seal(AssociatedData(id), plain.Data)
		return outbox.Sealed{Data: data, Encrypted: encrypted}
	})
}
