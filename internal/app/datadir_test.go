package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

func mustLock(t *testing.T, dir string) *DataDir {
	t.Helper()
	d, running, err := lockOrFind(t.Context(), dir)
	if err != nil || d == nil {
		t.Fatalf("the directory is not free: %v, %v", running, err)
	}
	t.Cleanup(func() { runtime.KeepAlive(d) }) // a file that nothing refers to is closed, which ends its lock
	return d
}

func TestOneProcessHasTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	d := mustLock(t, dir)
	if err := d.Publish(Runtime{URL: "http://127.0.0.1:8080", DatabaseURL: "sqlite://" + filepath.Join(dir, catalogName), RedisURL: "redis://127.0.0.1:1",
		S3Endpoint: "http://s3.test", S3AccessKey: "a", S3SecretKey: "b", Recordings: "calls", Archives: "zips"}); err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{}
	cfg.Data = dir
	g := NewGroup(zap.NewNop(), time.Second)
	defer func() { _ = g.Abandon(nil) }() // it only reads
	_, err := openChecked(t.Context(), cfg, config.Roles(), g, zap.NewNop())
	if want := fmt.Sprintf("(pid %d, http://127.0.0.1:8080) runs on the data directory %s", os.Getpid(), dir); !errors.Is(err, domain.ErrConflict) || !strings.Contains(err.Error(), want) {
		t.Errorf("a second process gets %v, want %s in it", err, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, runtimeName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the runtime file outlives the process: %v", err)
	}
	if err := mustLock(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

func TestCommandsBesideFindTheRunningProcess(t *testing.T) {
	dir := t.TempDir()
	d := mustLock(t, dir)
	published := Runtime{
		Started: time.Date(2025, 12, 12, 0, 0, 0, 0, time.UTC), URL: "http://127.0.0.1:8080", DatabaseURL: "sqlite:///d/c.db",
		RedisURL: "redis://:hunter2@127.0.0.1:1", S3Endpoint: "http://127.0.0.1:2", S3Region: "r", S3AccessKey: "a", S3SecretKey: "hunter2",
	}
	if err := d.Publish(published); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != 2 {
		t.Errorf("the directory holds %v, want the lock and the runtime file alone", entries)
	}
	locked, rt, err := lockOrFind(t.Context(), dir)
	if err != nil || locked != nil {
		t.Fatalf("got a lock: %t, %v", locked != nil, err)
	}
	published.PID = os.Getpid()
	if d := cmp.Diff(published, *rt); d != "" {
		t.Errorf("read something else than was written:\n%s", d)
	}
	if s := fmt.Sprintf("%v %+v %#v", rt, *rt, *rt); strings.Contains(s, "hunter2") {
		t.Errorf("a print shows a credential: %s", s)
	}
	p := config.Parts{DatabaseURL: "postgres://h/d"}
	rt.Fill(&p)
	want := config.Parts{
		DatabaseURL: "postgres://h/d", RedisURL: "redis://:hunter2@127.0.0.1:1",
		S3Endpoint: "http://127.0.0.1:2", S3Region: "r", S3AccessKey: "a", S3SecretKey: "hunter2",
	}
	if p != want {
		t.Error("what the operator named is overwritten, or what is missing not filled")
	}
}

func TestBesideWaitsForTheOther(t *testing.T) {
	dir := t.TempDir()
	d := mustLock(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockInterval)
	defer cancel()
	if _, _, err := lockOrFind(ctx, dir); !errors.Is(err, domain.ErrUnavailable) {
		t.Errorf("got %v, want that the directory is busy", err)
	}
	type result struct {
		locked *DataDir
		err    error
	}
	got := make(chan result, 1)
	go func() { l, _, err := lockOrFind(t.Context(), dir); got <- result{l, err} }()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil || r.locked == nil {
		t.Fatalf("got %v, want the lock that has become free", r.err)
	}
	if err := r.locked.Close(); err != nil {
		t.Error(err)
	}
}

func TestAStaleRuntimeFileIsIgnored(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, runtimeName)
	if err := os.WriteFile(stale, []byte(`{"pid":1,"url":"http://gone"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	locked, rt, err := lockOrFind(t.Context(), dir)
	if err != nil || locked == nil || rt != nil {
		t.Fatalf("got %v, %v; want the directory itself", rt, err)
	}
	if err := locked.Close(); err != nil {
		t.Error(err)
	}
}

// A command that waits beside a process sees that this has ended, and leaves the directory free.
func TestAbandoned(t *testing.T) {
	dir := mustLock(t, t.TempDir())
	beside := &Parts{Standalone: &Runtime{}}
	beside.Config.Data = dir.Path()
	alone := &Parts{}
	alone.Config.Data = dir.Path()
	if beside.Abandoned() || alone.Abandoned() {
		t.Error("abandoned while its process runs")
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	if !beside.Abandoned() || alone.Abandoned() {
		t.Error("its end goes unnoticed, or it counts as another's")
	}
	if err := mustLock(t, dir.Path()).Close(); err != nil {
		t.Error(err)
	}
}

// A command finds the outside object store of the process that it runs beside.
func TestBesideAnOutsideStore(t *testing.T) {
	dir := mustLock(t, t.TempDir())
	err := dir.Publish(Runtime{
		DatabaseURL: "sqlite://" + filepath.Join(dir.Path(), catalogName), RedisURL: "redis://127.0.0.1:1", S3Endpoint: "http://s3.test",
		S3AccessKey: "a", S3SecretKey: "b", Recordings: "calls", Archives: "zips", Prefix: "voice",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir.Path(), catalogName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{}
	cfg.Data, cfg.Recordings, cfg.Archives = dir.Path(), "recordings", "archives"
	g := NewGroup(zap.NewNop(), time.Second)
	defer func() { _ = g.Abandon(nil) }() // it only reads
	p, err := Open(t.Context(), cfg, nil, false, g, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if p.s3 == nil || p.Config.S3Endpoint != "http://s3.test" || p.Recordings.Name() != "calls" ||
		p.Archives.Name() != "zips" || p.Config.Prefix != "voice" {
		t.Errorf("in S3: %t, %+v", p.s3 != nil, p.Config.Parts)
	}
}
