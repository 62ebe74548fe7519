package telemetry

import (
	"context"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

const (
	// flushTimeout bounds the wait for the last spans when the process ends, failingFlushTimeout
	// the wait when sending failed before.
	flushTimeout        = 5 * time.Second
	failingFlushTimeout = 500 * time.Millisecond
)

// TracingConfig describes the process in the spans' resource. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES override it.
type TracingConfig struct {
	Version  string
	Instance string // host and process
	Roles    string
}

// Tracing sends spans by OTLP to the receiver that the environment names. While it is off, it runs
// nothing.
type Tracing struct {
	provider trace.TracerProvider
	sdk      *sdk.TracerProvider // nil when off
	exporter *exporter
	once     sync.Once
}

// OpenTracing reads the standard OTEL_ variables of the process, as the library does. Tracing is on
// when OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set. Invalid settings
// are logged and leave it off, because archiving must not depend on tracing.
func OpenTracing(ctx context.Context, cfg TracingConfig, log *zap.Logger) *Tracing {
	off := &Tracing{provider: noop.NewTracerProvider()}
	log = log.Named("tracing")
	on, problem := enabled(os.Getenv)
	if problem != "" {
		log.Warn("these settings of tracing cannot be used", zap.String("problem", problem), zap.Bool("tracing", on))
	}
	if !on {
		return off
	}
	// The library reports only by global functions.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug("the tracing library complains", zap.Error(err)) }))
	otel.SetLogger(logr.New(librarySink{log}))
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		log.Warn("tracing stays off: its exporter cannot be made", zap.Error(err))
		return off
	}
	resource, err := newResource(ctx, cfg)
	if err != nil {
		log.Warn("OTEL_RESOURCE_ATTRIBUTES cannot be read as a whole", zap.Error(err))
	}
	e := newExporter(client, log)
	p := sdk.NewTracerProvider(sdk.WithBatcher(e), sdk.WithResource(resource))
	service, _ := resource.Set().Value("service.name")
	log.Info("traces are sent", zap.String("service", service.AsString()))
	return &Tracing{provider: p, sdk: p, exporter: e}
}

// enabled says whether tracing is on, and which setting is invalid.
func enabled(env func(string) string) (on bool, problem string) {
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	if env(name) == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
	}
	endpoint := env(name)
	if endpoint == "" || strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, ""
	}
	switch kind := env("OTEL_TRACES_EXPORTER"); kind {
	case "", "otlp":
	case "none":
		return false, ""
	default:
		return false, "OTEL_TRACES_EXPORTER must be otlp or none"
	}
	// The library would take the host of "host:port" for a scheme.
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false, name + " must be a URL such as http://collector:4318"
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := env(name); protocol != "" {
			if protocol != "http/protobuf" {
				problem = name + " can only be http/protobuf, which is used"
			}
			break
		}
	}
	return true, problem
}

// newResource returns the spans' resource. After an error it has the attributes that could be read.
func newResource(ctx context.Context, cfg TracingConfig) (*resource.Resource, error) {
	own := []attribute.KeyValue{
		attribute.String("service.name", "callvault"), attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.Instance), attribute.String("callvault.roles", cfg.Roles),
	}
	r, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(own...), resource.WithFromEnv())
	if r == nil {
		r = resource.NewSchemaless(own...)
	}
	return r, err
}

// Provider is where tracers come from.
func (t *Tracing) Provider() trace.TracerProvider { return t.provider }

// On says whether spans are made.
func (t *Tracing) On() bool { return t.sdk != nil }

// Close sends the remaining spans. It waits only for a short time when the receiver does not
// answer.
func (t *Tracing) Close() error {
	t.once.Do(func() {
		if t.sdk == nil {
			return
		}
		timeout := flushTimeout
		if t.exporter.isFailing() {
			timeout = failingFlushTimeout
		}
		end := time.AfterFunc(timeout, t.exporter.giveUp)
		defer end.Stop()
		if err := t.sdk.Shutdown(context.Background()); err != nil {
			t.exporter.log.Warn("tracing did not end cleanly", zap.Error(err))
		}
		t.exporter.logLost()
	})
	return nil
}
