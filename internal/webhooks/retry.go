package webhooks

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// schedule is the waits after each failed try, as Standard Webhooks recommends: ten tries in all,
// over a little more than three days.
func schedule() []time.Duration {
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
		14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

// longestWait bounds what a receiver can ask for by Retry-After.
const longestWait = 24 * time.Hour

// again is the wait after a failed try with tries before it; negative when there is no more. Waits
// are spread by a tenth either way, so that a receiver that comes back is not met by all at once.
func again(tries int, asked time.Duration) time.Duration {
	waits := schedule()
	if tries >= len(waits) {
		return -1
	}
	wait := time.Duration(float64(waits[tries]) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // spreads retries, guards nothing
	return max(wait, min(asked, longestWait))
}

// retryAfter is how long the receiver wants to be left alone; 0 when it does not say.
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
