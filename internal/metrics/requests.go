package metrics

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Request is an answered HTTP request.
type Request struct {
	Family string // of endpoints
	Route  string // pattern of the path; "" when none matches
	Method string
	Status int
	Bytes  int64 // of the answer
	Took   time.Duration
}

type requests struct {
	duration  *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
	limited   *prometheus.CounterVec
	downloads *prometheus.CounterVec
}

func newRequests() requests {
	r := requests{
		duration: histograms("http_request_duration_seconds", "Time from a request's header to its answer's last byte.", latencies(),
			"family", "route", "method", "code"),
		bytes:     counters("http_response_bytes_total", "Bytes of answers, without their headers.", "family"),
		limited:   counters("http_limited_requests_total", "Requests answered with 429.", "family", "route"),
		downloads: counters("downloads_total", "Requests for the bytes of an hour's archive, by how they were answered.", "outcome"),
	}
	for _, outcome := range []string{"whole", "part", "redirect", "limited", "refused", "canceled", "failed"} {
		r.downloads.WithLabelValues(outcome)
	}
	return r
}

// Downloads registers the metric of downloads. Call it once, in the API's process.
func (m *Metrics) Downloads() { m.registry.MustRegister(m.downloads) }

// Request counts an answer.
func (r *requests) Request(a Request) {
	route := cmp.Or(a.Route, "none")
	r.duration.WithLabelValues(a.Family, route, method(a.Method), class(a.Status)).Observe(a.Took.Seconds())
	r.bytes.WithLabelValues(a.Family).Add(float64(a.Bytes))
	if a.Status == http.StatusTooManyRequests {
		r.limited.WithLabelValues(a.Family, route).Inc()
	}
	if a.Family == "recordings" && strings.HasSuffix(route, "/download") && a.Method == http.MethodGet {
		r.downloads.WithLabelValues(download(a.Status)).Inc()
	}
}

// download returns the outcome of a download by its status.
func download(status int) string {
	switch {
	case status == http.StatusOK:
		return "whole"
	case status == http.StatusPartialContent:
		return "part"
	case status == http.StatusFound || status == http.StatusTemporaryRedirect:
		return "redirect"
	case status == http.StatusTooManyRequests:
		return "limited"
	case status == left:
		return "canceled"
	case status >= http.StatusInternalServerError || status == 0:
		return "failed"
	}
	return "refused"
}

// left is the status of a request whose client went away before the answer.
const left = 499

// class returns a status class such as 2xx; 499 when the client went away, none when the connection
// broke before a status.
func class(status int) string {
	if status == left {
		return "499"
	}
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

// method returns the request's method; other for an unknown one, because callers can invent any.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
