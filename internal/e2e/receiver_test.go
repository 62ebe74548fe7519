package e2e_test

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// received is a span, with the resource attributes of its process.
type received struct {
	name, trace, id, parent string
	links                   []string // trace ids
	about                   map[string]string
	roles                   string
}

// receiver receives traces by OTLP, as a collector does.
type receiver struct {
	*httptest.Server
	t testing.TB

	mu    sync.Mutex
	spans []received
	text  strings.Builder // all received data
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, q *http.Request) {
	m, err := decode(q)
	if err != nil || q.URL.Path != "/v1/traces" {
		r.t.Errorf("%s: %v", q.URL.Path, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(prototext.Format(m))
	for _, of := range m.ResourceSpans {
		process := texts(of.Resource.Attributes)
		if process["service.name"] != "callvault" {
			r.t.Errorf("a span comes from %v", process)
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				got := received{name: s.Name, trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId), parent: hex.EncodeToString(s.ParentSpanId),
					about: texts(s.Attributes), roles: process["callvault.roles"]}
				for _, l := range s.Links {
					got.links = append(got.links, hex.EncodeToString(l.TraceId))
				}
				r.spans = append(r.spans, got)
			}
		}
	}
}

func decode(q *http.Request) (*collector.ExportTraceServiceRequest, error) {
	body := io.Reader(q.Body)
	if q.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(q.Body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	m := &collector.ExportTraceServiceRequest{}
	return m, proto.Unmarshal(raw, m)
}

func texts(list []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}

// named returns the spans of a name, of one trace unless trace is "".
func (r *receiver) named(name, trace string) (all []received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.name == name && (trace == "" || s.trace == trace) {
			all = append(all, s)
		}
	}
	return all
}

// below says whether one span is an ancestor of another.
func (r *receiver) below(s, ancestor received) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	parents := map[string]string{}
	for _, o := range r.spans {
		parents[o.id] = o.parent
	}
	for id := s.parent; id != ""; id = parents[id] {
		if id == ancestor.id {
			return true
		}
	}
	return false
}
