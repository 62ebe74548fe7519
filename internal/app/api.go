package app

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/bulk"
	conversationsapi "github.com/callvault/callvault/api/conversations"
	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/ingest"
	"github.com/callvault/callvault/api/oauth"
	"github.com/callvault/callvault/api/recordings"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/conversations"
	"github.com/callvault/callvault/internal/evidence"
	"github.com/callvault/callvault/internal/limits"
	"github.com/callvault/callvault/internal/objstore"
)

// api makes the handler of everything that clients call.
func (p *Parts) api(ctx context.Context, g *Group, health *Health, pages map[string]http.HandlerFunc, log *zap.Logger) (http.Handler, error) {
	c := p.Config
	keys, err := auth.OpenKeyring(ctx, p.Catalog, c.MasterKey.Reveal(), time.Now)
	if err != nil {
		return nil, err
	}
	log = log.Named("api")
	tokens := auth.NewTokens(auth.Config{Issuer: c.PublicURL, OIDC: auth.OIDC{
		Issuer: c.OIDCIssuer, Audience: c.OIDCAudience, TenantClaim: c.OIDCTenantClaim,
	}}, keys, p.Catalog, time.Now)
	merkleLog := p.Catalog.Merkle()
	proofs := func(ctx context.Context, leaf merkle.Key) ([]byte, error) {
		return evidence.Prove(ctx, merkleLog, leaf)
	}
	downloads, budget := api.NewDownloadLimiter(), api.NewBudget()
	read := conversations.New(p.Catalog.DB())
	var audio api.Store = p.Recordings
	var archiveURLs, audioURLs api.Presigner
	if p.s3 != nil {
		single := objstore.Single{Bucket: p.s3.Recordings()}
		audio = single
		if c.DownloadMode == "redirect" {
			archiveURLs, audioURLs = p.s3.Archives(), single
		}
	}
	internal := api.NewSharedToken("CALLVAULT_INTERNAL_TOKEN", c.InternalToken.Reveal(), log, time.Now)
	families := []api.Family{
		oauth.New(oauth.Deps{Clients: p.Catalog, Tokens: tokens, LogKeys: p.Catalog, Log: log}),
		recordings.New(recordings.Config{PublicURL: c.PublicURL, LinkTTL: c.LinkTTL},
			recordings.Deps{Catalog: p.Catalog, Tokens: tokens, Links: keys, Proofs: proofs, Store: p.Archives, Presigner: archiveURLs, Downloads: downloads, Log: log}),
		ingest.New(ingest.Deps{Internal: internal, Catalog: p.Catalog, Audio: p.Recordings, NoAudio: p.TakesAudio(), Log: log}),
		exports.New(exports.Config{PublicURL: c.PublicURL},
			exports.Deps{Internal: internal, Catalog: p.Catalog, Conversations: read, Recordings: audio, Presigner: audioURLs, Signer: keys, Downloads: downloads, Budget: budget, Log: log, Now: time.Now}),
		bulk.New(bulk.Config{}, bulk.Deps{Catalog: p.Catalog, Conversations: read, Cursors: keys, Budget: budget, Log: log,
			Limiter: limits.New(limits.Config{Limit: bulk.Limit, Window: bulk.Window}, p.Queue.Redis())}),
		conversationsapi.New(conversationsapi.Config{}, conversationsapi.Deps{Catalog: p.Catalog, Conversations: read, Store: audio, Cursors: keys, Downloads: downloads, Budget: budget, Log: log}),
	}
	operators, err := p.operators(ctx, g, pages, log)
	if err != nil {
		return nil, err
	}
	families = append(families, operators...)
	pages[readyPath] = health.Public(c.AdminToken.Reveal())
	return api.New(api.Config{CORSOrigins: c.CORSOrigins, TrustedProxies: c.TrustedProxies, BasePath: c.BasePath()}, api.Deps{Families: families, Pages: pages, Log: log, Now: time.Now,
		Tracer: p.tracer(), Observe: p.observe()}), nil
}
