package client

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzDay checks that an answer which passes check names only the day's 24 files.
func FuzzDay(f *testing.F) {
	f.Add([]byte(`{"date":"2025-12-12","links":[{"hour":"00","url":"https://h/x?token=1","sizeBytes":1,"status":"available","revision":1}]}`))
	f.Add([]byte(`{"date":"2025-12-12","links":[{"hour":"../x","status":"no_data"}]}`))
	hour := regexp.MustCompile(`^([01][0-9]|2[0-3])$`)
	f.Fuzz(func(t *testing.T, body []byte) {
		var d Day
		if json.Unmarshal(body, &d) != nil {
			return
		}
		for len(d.Links) > 0 && len(d.Links) < 24 { // so that the fuzzer gets past the check of their number
			d.Links = append(d.Links, Link{Hour: time.Date(0, 1, 1, len(d.Links), 0, 0, 0, time.UTC).Format("15"), Status: StatusNoData})
		}
		if d.check("2025-12-12", true) != nil {
			return
		}
		seen := map[string]bool{}
		for _, l := range d.Links {
			if !hour.MatchString(l.Hour) || seen[l.Hour] || l.Status == StatusAvailable && (l.SizeBytes <= 0 || !strings.HasPrefix(l.URL, "https://")) {
				t.Errorf("this link passes: %+v", l)
			}
			seen[l.Hour] = true
		}
	})
}

// FuzzRetryAfter checks that no server can make a client wait for ever, or not at all by overflow.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "0", "3600", "9223372036854775807", "-1", "Fri, 12 Dec 2025 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(text)
	}
	now := time.Date(2025, 12, 12, 11, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now, time.Minute); got < 0 || got > maxWait {
			t.Errorf("%q gives %s", text, got)
		}
	})
}
