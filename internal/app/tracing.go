package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/telemetry"
)

// openTracing sends the process's spans to the collector that the environment names.
func (p *Parts) openTracing(ctx context.Context, g *Group, roles []config.Role, log *zap.Logger) {
	p.tracing = telemetry.OpenTracing(ctx, telemetry.TracingConfig{Version: Version(), Instance: processName(), Roles: tracingRoles(roles)}, log)
	g.Add(Component{Name: "tracing", Stage: StageTelemetry, Close: p.tracing.Close})
}

// tracer returns nil while tracing is off.
func (p *Parts) tracer() trace.TracerProvider {
	if p.tracing == nil || !p.tracing.On() {
		return nil
	}
	return p.tracing.Provider()
}

// processName is different for each process of an installation.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "callvault"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

func tracingRoles(roles []config.Role) string {
	if len(roles) == 0 {
		return "command"
	}
	names := make([]string, 0, len(roles))
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ",")
}
