package limits_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/limits"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// embedded starts a Redis in this process, whose clock stands still at a whole second.
func embedded(t *testing.T) (*miniredis.Miniredis, *redis.Client, time.Time) {
	t.Helper()
	server := miniredis.RunT(t)
	at := time.Unix(1_800_000_000, 0)
	server.SetTime(at)
	return server, client(t, "redis://"+server.Addr()), at
}

func want(t *testing.T, what string, got limits.Use, err error, allowed bool, remaining int, reset time.Duration) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if expected := (limits.Use{Allowed: allowed, Limit: 3, Remaining: remaining, Reset: reset}); got != expected {
		t.Fatalf("%s: got %+v, want %+v", what, got, expected)
	}
}

func TestWindow(t *testing.T) {
	server, c, at := embedded(t)
	l := limits.New(limits.Config{Limit: 3, Window: time.Second, Timeout: time.Hour}, c)
	ctx := t.Context()
	full := time.Second

	u, err := l.Peek(ctx, "a")
	want(t, "nothing counted", u, err, true, 3, 0)
	u, err = l.Take(ctx, "a")
	want(t, "first", u, err, true, 2, full)
	server.SetTime(at.Add(400 * time.Millisecond))
	u, err = l.Take(ctx, "a")
	want(t, "second", u, err, true, 1, full-400*time.Millisecond)
	u, err = l.Peek(ctx, "a")
	want(t, "a look", u, err, true, 1, full-400*time.Millisecond)
	u, err = l.Take(ctx, "a")
	want(t, "third", u, err, true, 0, full-400*time.Millisecond)
	for range 5 { // what is refused is not counted
		server.SetTime(at.Add(900 * time.Millisecond))
		u, err = l.Take(ctx, "a")
		want(t, "refused", u, err, false, 0, full-900*time.Millisecond)
	}
	u, err = l.Take(ctx, "b")
	want(t, "another name", u, err, true, 2, full)
	server.SetTime(at.Add(time.Second))
	u, err = l.Take(ctx, "a")
	want(t, "exactly a window later", u, err, false, 0, time.Microsecond)
	server.SetTime(at.Add(full + time.Microsecond)) // both ends belong to a window
	u, err = l.Take(ctx, "a")
	want(t, "when the first fell out", u, err, true, 0, 400*time.Millisecond-time.Microsecond)
	server.SetTime(at.Add(time.Minute))
	u, err = l.Peek(ctx, "a")
	want(t, "all fell out", u, err, true, 3, 0)
}

func TestClockStepsBack(t *testing.T) {
	server, c, at := embedded(t)
	l := limits.New(limits.Config{Limit: 3, Window: time.Second, Timeout: time.Hour}, c)
	for range 3 {
		if _, err := l.Take(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	server.SetTime(at.Add(-500 * time.Millisecond))
	u, err := l.Take(t.Context(), "a")
	want(t, "a small step", u, err, false, 0, 1500*time.Millisecond)
	server.SetTime(at.Add(-time.Hour))
	u, err = l.Take(t.Context(), "a")
	want(t, "a large step", u, err, true, 2, time.Second)
}

// TestExact lets many clients of several replicas use one name at once. By Redis's clock, no four
// allowed uses lie within one second.
func TestExact(t *testing.T) {
	url := testenv.Redis(t)
	var mu sync.Mutex
	var first, last []time.Time // of each use allowed: Redis's time before and after it
	var group sync.WaitGroup
	enough := func() bool { // several windows full
		mu.Lock()
		defer mu.Unlock()
		return len(last) >= 9
	}
	for range 4 {
		c := client(t, url)
		l := limits.New(limits.Config{Limit: 3, Window: time.Second, Timeout: time.Hour}, c)
		for range 4 {
			group.Go(func() {
				for !enough() {
					before, err := c.Time(t.Context()).Result()
					if err != nil {
						t.Error(err)
						return
					}
					u, err := l.Take(t.Context(), "key")
					if err != nil {
						t.Error(err)
						return
					}
					after, err := c.Time(t.Context()).Result()
					if err != nil {
						t.Error(err)
						return
					}
					if u.Allowed {
						mu.Lock()
						first, last = append(first, before), append(last, after)
						mu.Unlock()
					}
				}
			})
		}
	}
	group.Wait()
	slices.SortFunc(first, time.Time.Compare)
	slices.SortFunc(last, time.Time.Compare)
	// The k-th use lies between the k-th earliest of these times and the k-th latest.
	for i := 3; i < len(last); i++ {
		if gap := last[i].Sub(first[i-3]); gap <= time.Second {
			t.Errorf("uses %d to %d lie within %s", i-3, i, gap)
		}
	}
}

func TestRedisDown(t *testing.T) {
	server := testenv.NewRedis(t)
	l := limits.New(limits.Config{Limit: 3, Window: time.Second, Timeout: time.Hour}, client(t, server.URL()))
	if _, err := l.Take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	for _, ask := range []func(context.Context, string) (limits.Use, error){l.Take, l.Peek} {
		if u, err := ask(t.Context(), "a"); domain.KindOf(err) != domain.KindUnavailable || u.Allowed {
			t.Errorf("without Redis: %+v, %v", u, err)
		}
	}
	server.Start()
	if u, err := l.Take(t.Context(), "a"); err != nil || !u.Allowed {
		t.Errorf("after it came back: %+v, %v", u, err)
	}
}

// TestRedisStalls pauses Redis: the limiter's own timeout ends the wait.
func TestRedisStalls(t *testing.T) {
	server := testenv.NewRedis(t)
	l := limits.New(limits.Config{Limit: 3, Window: time.Second, Timeout: 50 * time.Millisecond}, client(t, server.URL()))
	server.Pause()
	defer server.Resume()
	if _, err := l.Take(t.Context(), "a"); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestExpires(t *testing.T) {
	server, c, _ := embedded(t)
	l := limits.New(limits.Config{Limit: 3, Window: time.Second, Timeout: time.Hour}, c)
	for i := range 20 {
		if _, err := l.Take(t.Context(), fmt.Sprint("key-", i)); err != nil {
			t.Fatal(err)
		}
	}
	server.FastForward(time.Minute)
	if keys := server.Keys(); len(keys) > 0 {
		t.Errorf("left behind: %v", keys)
	}
}
