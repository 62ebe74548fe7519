package queue_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/queue"
	"github.com/callvault/callvault/internal/testenv"
)

// TestDenied asks as users of Redis who lack a right, and works as one who has just those that are
// asked for.
func TestDenied(t *testing.T) {
	server := testenv.NewRedis(t)
	options, err := redis.ParseURL(server.URL())
	must(t, err)
	root := redis.NewClient(options)
	t.Cleanup(func() { must(t, root.Close()) })
	just := []any{"~asynq:*", "~callvault:*", "&asynq:*", "-@all", "+ping"}
	for _, c := range queue.NeededCommands() {
		name, _, _ := strings.Cut(c, " ")
		just = append(just, "+"+name)
	}
	connectAs := func(rules ...any) *queue.Queue {
		must(t, root.Do(t.Context(), append([]any{"ACL", "SETUSER", "worker", "reset", "on", ">pass"}, rules...)...).Err())
		return connect(t, "redis://worker:pass@"+server.Addr()+"/0")
	}
	for name, c := range map[string]struct {
		rules    []any
		commands []string
		keys     bool
	}{
		"just enough":   {rules: just},
		"all":           {rules: []any{"~*", "&*", "+@all"}},
		"no channels":   {rules: []any{"~*", "+@all"}, commands: []string{"PUBLISH", "SUBSCRIBE"}},
		"no lists":      {rules: []any{"~*", "&*", "+@all", "-@list"}, commands: []string{"LLEN", "LPUSH", "LRANGE", "LREM", "RPOPLPUSH", "RPUSH"}},
		"keys of asynq": {rules: []any{"~asynq:*", "&*", "+@all"}, keys: true},
	} {
		r, err := connectAs(c.rules...).Denied(t.Context())
		if err != nil || !r.Asked || !slices.Equal(r.Commands, c.commands) || r.Keys != c.keys {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := connectAs("~*", "&*", "+@all", "-eval").Denied(t.Context()); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("without scripts: %v", err)
	}
	q := connectAs(just...)
	must(t, q.Enqueue(t.Context(), domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 1}, 1))
	core, logged := observer.New(zap.WarnLevel)
	worker := q.NewServer(queue.ServerConfig{Slots: 1}, queue.Handlers{Hour: func(context.Context, queue.Task) error { return nil },
		Sweep: func(context.Context) error { return nil }}, zap.New(core))
	must(t, worker.Start())
	testenv.Until(t, "the task is done", func() bool {
		s, err := q.Stats(t.Context())
		must(t, err)
		return s.Queues[0].Sizes["completed"] == 1
	})
	must(t, worker.Stop())
	for _, entry := range logged.All() {
		t.Errorf("the worker logs: %s", entry.Message)
	}
}

// TestSizes sees a paused queue and the live workers, and removes no dead ones.
func TestSizes(t *testing.T) {
	url := testenv.Redis(t)
	q := connect(t, url)
	must(t, q.Enqueue(t.Context(), domain.HourKey{Tenant: "acme", Day: "2025-12-12", Hour: 1}, 1))
	must(t, q.Redis().Set(t.Context(), "asynq:{build}:paused", "1", 0).Err())
	for name, lapses := range map[string]float64{"dead": 1, "alive": 1e12} {
		must(t, q.Redis().ZAdd(t.Context(), "asynq:servers", redis.Z{Score: lapses, Member: name}).Err())
	}
	sizes, err := q.Sizes(t.Context())
	if err != nil || !sizes[0].Paused || sizes[1].Paused || sizes[0].Sizes["pending"] != 1 {
		t.Errorf("%+v, %v", sizes, err)
	}
	if n, err := q.Workers(t.Context()); err != nil || n != 1 {
		t.Errorf("%d workers, %v", n, err)
	}
	if left := q.Redis().ZCard(t.Context(), "asynq:servers").Val(); left != 2 {
		t.Errorf("%d are left", left)
	}
}
