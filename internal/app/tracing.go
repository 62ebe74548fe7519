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

// openTracing sends the process's spans to where the environment says. What the process does tells
// its roles; a command has none.
func (p *Parts) openTracing(ctx context.Context, g *Group, roles []config.Role, log *zap.Logger) {
	p.tracing = telemetry.OpenTracing(ctx, telemetry.TracingConfig{Version: Version(), Instance: processName(), Roles: roleNames(roles)}, log)
	g.Add(Component{Name: "tracing", Stage: StageTelemetry, Close: p.tracing.Close})
}

// tracer is nil while tracing is off.
func (p *Parts) tracer() trace.TracerProvider {
	if p.tracing == nil || !p.tracing.On() {
		return nil
	}
	return p.tracing.Provider()
}

// processName tells the processes of an installation apart.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "callvault"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

func roleNames(roles []config.Role) string {
	if len(roles) == 0 {
		return "command"
	}
	names := make([]string, 0, len(roles))
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ",")
}
