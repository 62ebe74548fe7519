package app

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/outbox"
	"github.com/callvault/callvault/internal/metrics"
	"github.com/callvault/callvault/internal/webhooks"
)

func (p *Parts) webhookRules() webhooks.Rules {
	return webhooks.Rules{Private: p.Config.WebhookPrivate}
}

// Webhooks returns what makes and changes tenants' endpoints. Its error is a fault in the program.
func (p *Parts) Webhooks() (*webhooks.Endpoints, error) {
	vault, err := auth.NewVault(p.Config.MasterKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	return webhooks.NewEndpoints(endpointStore{p.Catalog, p.Config.MasterKey.Reveal()}, vault, p.webhookRules()), nil
}

// endpointStore refuses a secret that was encrypted under another master key than the signing keys,
// as a command with a wrong key would do, or an API that still has the former one. No worker could
// sign with such a secret, and the master key could not be changed any more.
type endpointStore struct {
	*catalog.Catalog
	master string
}

// CreateEndpoint adds to the catalog's errors KindInvalid for a wrong master key.
func (s endpointStore) CreateEndpoint(ctx context.Context, e outbox.Endpoint, o audit.Origin) (outbox.Endpoint, error) {
	if err := auth.CheckMaster(ctx, s.Catalog, s.master); err != nil {
		return e, err
	}
	return s.Catalog.CreateEndpoint(ctx, e, o)
}

// RotateEndpoint adds to the catalog's errors KindInvalid for a wrong master key.
func (s endpointStore) RotateEndpoint(ctx context.Context, tenant, id string, fresh outbox.Sealed,
	former func(outbox.Endpoint, time.Time) (outbox.Sealed, time.Time), o audit.Origin) (outbox.Endpoint, error) {
	if err := auth.CheckMaster(ctx, s.Catalog, s.master); err != nil {
		return outbox.Endpoint{}, err
	}
	return s.Catalog.RotateEndpoint(ctx, tenant, id, fresh, former, o)
}

// sealWebhooks encrypts secrets that were stored before there was a master key.
func (p *Parts) sealWebhooks(ctx context.Context) error {
	if p.Config.MasterKey == "" {
		return nil
	}
	endpoints, err := p.Webhooks()
	if err != nil {
		return err
	}
	return endpoints.SealAll(ctx)
}

func (p *Parts) countAttempt(_ string, a outbox.DeliveryOutcome) {
	switch {
	case a.Delivered:
		p.metrics.Webhook(metrics.WebhookDelivered)
	case a.Gone:
		p.metrics.Webhook(metrics.WebhookGone)
	case a.RetryIn < 0:
		p.metrics.Webhook(metrics.WebhookFailed)
	default:
		p.metrics.Webhook(metrics.WebhookAgain)
	}
}

// addDeliverer adds the sender of webhooks.
func (p *Parts) addDeliverer(g *Group, log *zap.Logger) {
	vault, err := auth.NewVault(p.Config.MasterKey.Reveal())
	if err != nil {
		log.Error("webhooks are not sent", zap.Error(err))
		return
	}
	sender := webhooks.NewSender(webhooks.SenderConfig{Rules: p.webhookRules()}, vault, time.Now)
	d := webhooks.NewDeliverer(webhooks.Config{OnAttempt: p.countAttempt}, p.Catalog, sender, log)
	g.Add(Component{Name: "webhooks", Stage: StageWorker, Run: d.Run})
}
