package testenv_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/callvault/callvault/internal/testenv"
)

// childVariable makes this binary a child that starts servers and is killed.
const childVariable = "CALLVAULT_TESTENV_CHILD"

func TestMain(m *testing.M) {
	testenv.Main(m)
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	options.ReadTimeout = 30 * time.Second
	client := redis.NewClient(options)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

func execSQL(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Error(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func count(t *testing.T, url string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRedisDatabasesAreApart(t *testing.T) {
	first, second := redisClient(t, testenv.Redis(t)), redisClient(t, testenv.Redis(t))
	if err := first.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := second.Get(t.Context(), "key").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("the second database answers %v for a key of the first", err)
	}
}

func TestPrivateRedisKeepsItsData(t *testing.T) {
	server := testenv.NewRedis(t)
	client := redisClient(t, server.URL())
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a stopped Redis answers")
	}
	server.Start()
	if value, err := client.Get(t.Context(), "key").Result(); err != nil || value != "value" {
		t.Errorf("after a restart: %q, %v", value, err)
	}
	server.Pause()
	answered := make(chan error, 1)
	go func() { answered <- client.Ping(context.WithoutCancel(t.Context())).Err() }()
	other := redisClient(t, testenv.Redis(t))
	for range 20 { // other clients get answers meanwhile, also on a slow machine
		if err := other.Ping(t.Context()).Err(); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("a frozen Redis answers: %v", err)
	default:
	}
	server.Resume()
	if err := <-answered; err != nil {
		t.Errorf("after Resume: %v", err)
	}
	server.Flush()
	if n, err := client.DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("after Flush: %d keys, %v", n, err)
	}
}

func TestPostgresTemplateIsPreparedOnce(t *testing.T) {
	prepared := 0
	prepare := func(url string) error {
		prepared++
		execSQL(t, url, "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
		return nil
	}
	first := testenv.PostgresFrom(t, "things", prepare)
	second := testenv.PostgresFrom(t, "things", prepare)
	execSQL(t, first, "INSERT INTO things VALUES (2)")
	if a, b := count(t, first), count(t, second); a != 2 || b != 1 || prepared != 1 {
		t.Errorf("copies hold %d and %d rows after %d preparations, want 2, 1 and 1", a, b, prepared)
	}
	execSQL(t, testenv.Postgres(t), "CREATE TABLE things (id int)")
}

func TestPrivatePostgresSurvivesACrash(t *testing.T) {
	server := testenv.NewPostgres(t)
	execSQL(t, server.URL(), "CREATE TABLE things (id int); INSERT INTO things VALUES (1)")
	server.Stop()
	server.Start()
	if n := count(t, server.URL()); n != 1 {
		t.Errorf("%d rows after a crash, want 1", n)
	}
}

func TestMinIO(t *testing.T) {
	s3 := testenv.MinIO(t)
	if a, b := s3.NewBucket(t, "recordings"), s3.NewBucket(t, "recordings"); a == b {
		t.Errorf("two buckets are both called %s", a)
	}
	server := testenv.NewMinIO(t)
	bucket := server.NewBucket(t, "archives")
	server.Stop()
	server.Start()
	response, err := http.Get(server.Endpoint + "/" + bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned request is answered %s", response.Status)
	}
}

func TestMissingProgramSaysWhatToDo(t *testing.T) {
	command := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	command.Env = append(os.Environ(), childVariable+"=redis", "CALLVAULT_TEST_REDIS_SERVER=/nonexistent")
	output, err := command.CombinedOutput()
	if err == nil || !bytes.Contains(output, []byte("CALLVAULT_TEST_REDIS_SERVER=/nonexistent is not an executable file")) {
		t.Errorf("%v\n%s", err, output)
	}
}

// TestNothingOutlivesAKilledProcess: a killed test process leaves no servers and no files.
func TestNothingOutlivesAKilledProcess(t *testing.T) {
	temp := t.TempDir()
	if err := os.Chmod(temp, 0o711); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	command.Env = append(os.Environ(), childVariable+"=kill", "TMPDIR="+temp)
	output, err := command.CombinedOutput()
	if err == nil {
		t.Fatalf("the child was not killed:\n%s", output)
	}
	_, after, found := strings.Cut(string(output), "redis at ")
	url, _, _ := strings.Cut(after, "\n")
	if !found {
		t.Fatalf("the child started no server:\n%s", output)
	}
	client := redisClient(t, strings.TrimSpace(url))
	testenv.Until(t, "the server is gone", func() bool { return client.Ping(t.Context()).Err() != nil })
	testenv.Until(t, "no file is left", func() bool {
		entries, err := os.ReadDir(temp)
		return err == nil && len(entries) == 0
	})
}

// TestChild is what the children above run; by itself it checks nothing.
func TestChild(t *testing.T) {
	mode := os.Getenv(childVariable)
	if mode == "" {
		return
	}
	url := testenv.Redis(t)
	if mode != "kill" {
		return
	}
	if _, err := os.Stdout.WriteString("redis at " + url + "\n"); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Kill(); err != nil {
		t.Fatal(err)
	}
	select {}
}
