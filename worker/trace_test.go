package worker_test

import (
	"context"
	"strings"

	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/telemetry"
	"github.com/callvault/callvault/worker"
)

// traced builds an hour under a span, and gives the spans and log lines of the build.
func (f *fixture) traced(recordings worker.Recordings, n int) (tracetest.SpanStubs, []observer.LoggedEntry, error) {
	f.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	core, logs := observer.New(zapcore.InfoLevel)
	cfg := config()
	cfg.Tracer = provider
	b := worker.NewBuilder(cfg, f.catalog, recordings, f.store.Archives(), time.Now, zap.New(core))
	ctx, root := telemetry.Tracer(provider).Start(f.ctx, "root")
	err := b.BuildHour(ctx, task(n))
	root.End()
	return tracetest.SpanStubsFromReadOnlySpans(spans.Ended()), logs.All(), err
}

func find(spans tracetest.SpanStubs, name string) (all tracetest.SpanStubs) {
	for _, s := range spans {
		if s.Name == name {
			all = append(all, s)
		}
	}
	return all
}

func number(s tracetest.SpanStub, key attribute.Key) int64 {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.AsInt64()
		}
	}
	return -1
}

func TestBuildsHaveFewSpansForManySources(t *testing.T) {
	f := newFixture(t)
	const small = 300
	for range small {
		f.add(hour(9), 100)
	}
	f.add(hour(9), 12<<20)
	f.plan()
	spans, lines, err := f.traced(f.store.Recordings(), 9)
	f.must(err)
	root := find(spans, "root")[0]
	if len(spans) > 20 {
		t.Errorf("%d spans for %d sources", len(spans), small+1)
	}
	for _, s := range spans {
		if s.SpanContext.TraceID() != root.SpanContext.TraceID() {
			t.Errorf("%s is in another trace", s.Name)
		}
		for _, a := range s.Attributes {
			if text := a.Value.String(); strings.Contains(text, "calls/") {
				t.Errorf("%s: %s names a recording: %s", s.Name, a.Key, text)
			}
		}
	}
	for _, name := range []string{"claim hour", "read hour", "look up sources", "wait for memory", "fetch sources", "upload archive", "commit archive"} {
		if of := find(spans, name); len(of) != 1 || of[0].Parent.SpanID() != root.SpanContext.SpanID() {
			t.Errorf("%d spans of %q, or under another span", len(of), name)
		}
	}
	upload, fetch := find(spans, "upload archive")[0], find(spans, "fetch sources")[0]
	parts := find(spans, "upload part")
	if len(parts) != 3 || number(upload, "callvault.parts") != 3 || parts[0].Parent.SpanID() != upload.SpanContext.SpanID() || len(find(spans, "complete upload")) != 1 {
		t.Errorf("%d parts have spans; %v", len(parts), upload.Attributes)
	}
	if number(fetch, "callvault.reads") < small || number(fetch, "callvault.bytes") < small*100+12<<20 || number(root, "callvault.archive.files") != small+1 {
		t.Errorf("%v; %v", fetch.Attributes, root.Attributes)
	}
	if len(lines) == 0 {
		t.Fatal("no line")
	}
	for _, line := range lines {
		m := line.ContextMap()
		if m["tenant"] != tenant || m["day"] != string(day) || m["hour"] != 9 || m["task"] != task(9).ID() ||
			m["trace_id"] != root.SpanContext.TraceID().String() || m["revision"] != int64(1) {
			t.Errorf("%s: %v", line.Message, m)
		}
	}
}

// brokenRecordings is a bucket whose Get fails.
type brokenRecordings struct{ worker.Recordings }

func (brokenRecordings) Get(context.Context, string, objstore.GetOptions) (*objstore.Object, error) {
	return nil, domain.Errorf(domain.KindStoreFault, "calls/+4915112345678.wav is refused")
}

func TestFailedBuildsEndTheirSpans(t *testing.T) {
	f := newFixture(t)
	f.add(hour(9), 100)
	f.plan()
	spans, _, err := f.traced(brokenRecordings{f.store.Recordings()}, 9)
	f.expectKind(err, domain.KindStoreFault)
	upload, fetch := find(spans, "upload archive"), find(spans, "fetch sources")
	if len(upload) != 1 || len(fetch) != 1 || upload[0].Status.Description == "" || number(fetch[0], "callvault.reads.failed") < 1 {
		t.Errorf("upload %v, fetch %v", upload, fetch)
	}
	for _, s := range spans {
		if strings.Contains(s.Status.Description, "491511") || len(s.Events) > 0 {
			t.Errorf("%s says too much: %v %v", s.Name, s.Status, s.Events)
		}
	}
}
