package worker

import (
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/callvault/callvault/internal/telemetry"
)

func TestUploadsHaveFewSpansForManyParts(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	u := uploadSpan{tracer: telemetry.Tracer(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)))}
	for range 3 { // two restarts
		u.begin(t.Context())
		for n := range 3000 {
			_, s := u.part(t.Context(), n+1, make([]byte, 1))
			s.End()
		}
	}
	u.end(nil)
	u.end(nil)
	ended := spans.Ended()
	if len(ended) != tracedParts+1 {
		t.Errorf("%d spans", len(ended))
	}
	last := ended[len(ended)-1]
	if last.Name() != "upload archive" || len(last.Events()) != 2 {
		t.Errorf("%s with %d events", last.Name(), len(last.Events()))
	}
	for _, a := range last.Attributes() {
		if a.Key == "callvault.parts" && a.Value.AsInt64() != 9000 {
			t.Errorf("%d parts", a.Value.AsInt64())
		}
	}
}
