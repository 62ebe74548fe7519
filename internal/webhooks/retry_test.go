package webhooks

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryDelay(t *testing.T) {
	var least, most time.Duration
	for i, wait := range schedule() {
		for range 50 {
			got := retryDelay(i, 0)
			if got < wait*9/10 || got > wait*11/10 {
				t.Errorf("after %d tries: %s, want about %s", i+1, got, wait)
			}
		}
		least, most = least+wait*9/10, most+wait*11/10
	}
	if least < 60*time.Hour || most > 90*time.Hour {
		t.Errorf("all tries take %s to %s", least, most)
	}
	if got := retryDelay(len(schedule()), time.Hour); got >= 0 {
		t.Errorf("after the last try: %s", got)
	}
	if got := retryDelay(0, 10*time.Minute); got != 10*time.Minute {
		t.Errorf("asked for ten minutes: %s", got)
	}
	if got := retryDelay(0, 300*time.Hour); got != longestWait {
		t.Errorf("asked for too much: %s", got)
	}
	if got := retryDelay(3, time.Second); got < time.Hour {
		t.Errorf("asked for less than the schedule's: %s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		text   string
		want   time.Duration
	}{
		{429, "90", 90 * time.Second},
		{503, "Fri, 02 Jan 2026 03:05:05 GMT", time.Minute},
		{503, "Fri, 02 Jan 2026 03:00:05 GMT", 0},
		{503, "", 0}, {503, "soon", 0}, {503, "-5", 0}, {503, "99999999999999999999", 0}, {500, "90", 0},
	} {
		r := &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.text}}}
		if got := retryAfter(r, now); got != c.want {
			t.Errorf("%d %q: %s, want %s", c.status, c.text, got, c.want)
		}
	}
}
