package webhooks

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// schedule lists the waits after the failed tries, as Standard Webhooks recommends: ten tries in
// all, over a little more than three days.
func schedule() []time.Duration {
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
		14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

// longestWait bounds a receiver's Retry-After.
const longestWait = 24 * time.Hour

// retryDelay is the wait after a failed try that had so many tries before it; negative when no try
// is left. asked is the receiver's Retry-After. Waits differ by up to a tenth, so that deliveries
// do not all come at once when a receiver works again.
func retryDelay(tries int, asked time.Duration) time.Duration {
	waits := schedule()
	if tries >= len(waits) {
		return -1
	}
	wait := time.Duration(float64(waits[tries]) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret depends on it
	return max(wait, min(asked, longestWait))
}

// retryAfter is the wait that a receiver asks for; 0 when it asks for none.
func retryAfter(r *http.Response, now time.Time) time.Duration {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := r.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
