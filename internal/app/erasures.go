package app

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
)

// Eraser makes an Eraser, which carries out erasures.
func (p *Parts) Eraser(log *zap.Logger) *lifecycle.Eraser {
	return lifecycle.NewEraser(p.Catalog, p.Recordings, p.Archives, p.Config.Prefix, time.Now, log)
}

const (
	livePath       = "/healthz"
	repeatTimeout  = 30 * time.Second
	repeatInterval = 5 * time.Second
)

// RepeatErasures repeats the erasures that a restored catalog lacks. It is for commands that take
// in or build: no role may have run since the restore.
func (p *Parts) RepeatErasures(ctx context.Context, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, repeatTimeout)
	defer cancel()
	return p.Eraser(log).Repeat(ctx)
}

// repeatErasures repeats the erasures that a restored catalog lacks, before roles serve. When that
// can't be done yet, the roles start, but are not ready and serve nothing until it is.
func (p *Parts) repeatErasures(ctx context.Context, g *Group, log *zap.Logger) {
	repeat := func(ctx context.Context) error {
		err := p.RepeatErasures(ctx, log)
		p.erasuresLeft.Store(&err)
		return err
	}
	err := repeat(ctx)
	if err == nil {
		return
	}
	log.Warn("it is not known yet whether erasures have to be repeated; nothing is served before that", zap.Error(err))
	g.Add(Component{Name: "erasures", Stage: StageClients, Run: func(ctx context.Context) error {
		tick := time.NewTicker(repeatInterval)
		defer tick.Stop()
		for repeat(ctx) != nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
		log.Info("erasures are as the archives bucket has them")
		<-ctx.Done()
		return nil
	}})
}

// checkErasures is nil once no erasure has to be repeated.
func (p *Parts) checkErasures(context.Context) error {
	err := p.erasuresLeft.Load()
	if err == nil {
		return domain.Errorf(domain.KindUnavailable, "erasures are not compared yet")
	}
	return *err
}

// afterErasures answers 503 to everything but the process's own pages until no erasure has to be
// repeated.
func (p *Parts) afterErasures(next func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		own := r.URL.Path == livePath || r.URL.Path == readyPath || r.URL.Path == metricsPath
		if !own && p.checkErasures(r.Context()) != nil {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "callvault is not ready yet.", http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	}
}
