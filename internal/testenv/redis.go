package testenv

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// redisDatabases is how many database numbers a server has; numbers are used
// again, empty, when they run out.
const redisDatabases = 4096

type sharedRedis struct {
	once   sync.Once
	err    error
	server *RedisServer

	mu   sync.Mutex
	next int
}

// RedisServer is a Redis that one test owns. It keeps its data over Stop and
// Start (append-only file) and never evicts.
type RedisServer struct {
	Private
	password string
}

// Redis returns the URL of an empty database of the shared Redis, emptied
// again when the test ends. Publish and subscribe cross database numbers: a
// test that needs them undisturbed takes [NewRedis].
func Redis(t testing.TB) string {
	t.Helper()
	r := &shared.redis
	r.once.Do(func() {
		r.server, r.err = startRedis(false)
		if r.err == nil {
			shared.own(r.server.server)
		}
	})
	if r.err != nil {
		t.Fatal("testenv: ", r.err)
	}
	if err := r.server.server.alive(); err != nil {
		t.Fatal("testenv: ", err)
	}
	r.mu.Lock()
	db := r.next % redisDatabases
	r.next++
	r.mu.Unlock()
	t.Cleanup(func() {
		if err := r.server.flush(context.WithoutCancel(t.Context()), db); err != nil {
			t.Errorf("testenv: empty redis database %d: %v", db, err)
		}
	})
	return r.server.url(db)
}

// NewRedis starts a Redis for this test alone.
func NewRedis(t testing.TB) *RedisServer {
	t.Helper()
	r, err := startRedis(true)
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	r.t = t
	r.server.private(t)
	return r
}

// URL is the redis:// URL with the password, for database 0.
func (r *RedisServer) URL() string { return r.url(0) }

// Flush empties the server: all of Redis is lost.
func (r *RedisServer) Flush() {
	r.t.Helper()
	client := r.client(0)
	r.check(errors.Join(client.FlushAll(r.t.Context()).Err(), client.Close()))
}

func (r *RedisServer) url(db int) string {
	return fmt.Sprintf("redis://:%s@%s/%d", r.password, r.Addr(), db)
}

func (r *RedisServer) client(db int) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.Addr(), Password: r.password, DB: db, MaxRetries: -1})
}

func (r *RedisServer) flush(ctx context.Context, db int) error {
	client := r.client(db)
	return errors.Join(client.FlushDB(ctx).Err(), client.Close())
}

func startRedis(durable bool) (*RedisServer, error) {
	binary, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	dir, err := shared.directory("redis")
	if err != nil {
		return nil, err
	}
	appendOnly := "no"
	if durable {
		appendOnly = "yes"
	}
	r := &RedisServer{password: secret()}
	r.server = &server{
		name: "redis", dir: dir, crash: syscall.SIGKILL,
		command: func(port int) *exec.Cmd {
			return exec.Command(binary, "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
				"--requirepass", r.password, "--databases", strconv.Itoa(redisDatabases),
				"--dir", dir, "--save", "", "--appendonly", appendOnly,
				"--maxmemory-policy", "noeviction", "--daemonize", "no")
		},
		ready: func(ctx context.Context) error {
			client := r.client(0)
			return errors.Join(client.Ping(ctx).Err(), client.Close())
		},
	}
	return r, r.server.start()
}
