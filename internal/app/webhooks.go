package app

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/metrics"
	"github.com/callvault/callvault/internal/webhooks"
)

func (p *Parts) webhookRules() webhooks.Rules {
	return webhooks.Rules{Private: p.Config.WebhookPrivate}
}

// Webhooks makes and changes tenants' endpoints. Its error is a fault in the program.
func (p *Parts) Webhooks() (*webhooks.Endpoints, error) {
	vault, err := auth.NewVault(p.Config.MasterKey.Reveal())
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	return webhooks.NewEndpoints(p.Catalog, vault, p.webhookRules()), nil
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

// attempted counts a try to deliver.
func (p *Parts) attempted(_ string, a catalog.Attempt) {
	switch {
	case a.Delivered:
		p.metrics.Webhook(metrics.WebhookDelivered)
	case a.Gone:
		p.metrics.Webhook(metrics.WebhookGone)
	case a.Again < 0:
		p.metrics.Webhook(metrics.WebhookFailed)
	default:
		p.metrics.Webhook(metrics.WebhookAgain)
	}
}

// addDeliverer sends what tenants are told of. It belongs to the worker: it does what was decided.
func (p *Parts) addDeliverer(g *Group, log *zap.Logger) {
	vault, err := auth.NewVault(p.Config.MasterKey.Reveal())
	if err != nil {
		log.Error("webhooks are not sent", zap.Error(err))
		return
	}
	sender := webhooks.NewSender(webhooks.SenderConfig{Rules: p.webhookRules()}, vault, time.Now)
	d := webhooks.NewDeliverer(webhooks.Config{OnAttempt: p.attempted}, p.Catalog, sender, log)
	g.Add(Component{Name: "webhooks", Stage: StageWorker, Run: d.Run})
}
