package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
)

// deadlines is a connection's answer that keeps its write deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

// TestUnreadAnswersEnd checks that an answer has a deadline, which the former one of its connection
// does not shorten.
func TestUnreadAnswersEnd(t *testing.T) {
	handler := api.New(api.Config{}, api.Deps{Log: zap.NewNop(), Now: time.Now, Pages: map[string]http.HandlerFunc{
		"/page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("text")) },
	}})
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/page", nil))
	if len(w.set) != 2 || !w.set[0].IsZero() || time.Until(w.set[1]) < time.Minute || time.Until(w.set[1]) > 3*time.Minute {
		t.Errorf("deadlines %v", w.set)
	}
}
