package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/worker"
)

func TestBuild(t *testing.T) {
	w := newPostgresWorld(t)
	w.add(hour(7), 1000)
	unknown := w.recording(hour(7), nil)
	w.put(unknown, audio(2, 2000))
	gone := w.recording(hour(7), nil)
	size := int64(300)
	alsoGone := w.recording(hour(7), &size)
	w.add(hour(7), 0)
	w.plan()
	var ended worker.Ended
	cfg := config()
	cfg.OnBuild = func(e worker.Ended) { ended = e }
	b := w.builder(cfg)
	w.must(b.Hour(w.ctx, task(7)))

	z := w.served(7)
	if len(z.File) != 5 {
		t.Errorf("%d entries, want three recordings, metadata.json and SHA256SUMS", len(z.File))
	}
	var metadata struct {
		MissingFiles []struct{ OriginalPath, Reason string }
	}
	f, err := z.Open("metadata.json")
	w.must(err)
	w.must(json.NewDecoder(f).Decode(&metadata))
	if m := metadata.MissingFiles; len(m) != 2 || m[0].OriginalPath != gone || m[1].OriginalPath != alsoGone || m[0].Reason != "not_found" {
		t.Errorf("missing files: %+v", m)
	}
	v := w.view(7)
	if v.Revision != 1 || v.Archive.Files != 3 || v.Archive.MissingCount != 2 || v.Archive.Sessions != 2 || v.Rebuilding {
		t.Errorf("served: %+v %+v", v, v.Archive)
	}
	if ended.Kind != "" || ended.Files != 3 || ended.Missing != 2 || ended.Size != v.Archive.Size {
		t.Errorf("told: %+v", ended)
	}
	// The task comes a second time: there is nothing to do.
	w.must(b.Hour(w.ctx, task(7)))
	if again := w.view(7); again.Revision != 1 {
		t.Errorf("revision %d", again.Revision)
	}
	w.must(b.Hour(w.ctx, task(8)))
	if v := w.view(8); v.State != catalog.StateNoData {
		t.Errorf("an hour without data is %s", v.State)
	}
}

func TestBuildInParts(t *testing.T) {
	w := newWorld(t)
	w.add(hour(7), 12<<20)
	w.add(hour(7), 100)
	w.plan()
	w.must(w.builder(config()).Hour(w.ctx, task(7)))
	if z := w.served(7); len(z.File) != 4 {
		t.Errorf("%d entries", len(z.File))
	}
	if err := w.store.Archives().AbortAll(w.ctx, w.view(7).Archive.ObjectKey); err != nil {
		t.Error(err)
	}
}

func TestBuildFails(t *testing.T) {
	w := newWorld(t)
	size := int64(5000)
	w.recording(hour(1), &size)
	w.add(hour(2), 9000)
	w.plan()
	cfg := config()
	cfg.Archive.MaxSize = 8000
	b := w.builder(cfg)
	for n, kind := range map[int]domain.Kind{1: domain.KindAllMissing, 2: domain.KindTooLarge} {
		w.expectKind(b.Hour(w.ctx, task(n)), kind)
		if v := w.view(n); v.State != catalog.StateFailed || v.LastKind != string(kind) || v.LastError == "" {
			t.Errorf("hour %d: %s %s %q", n, v.State, v.LastKind, v.LastError)
		}
	}
}

// A build fails for want of every recording: the hour and the log name each with its own reason.
func TestBuildNamesWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	size, sum := int64(5), uint32(1)
	gone := w.recording(hour(1), &size)
	other := w.recording(hour(1), &size)
	w.put(other, []byte("elevenbytes"))
	changed := w.recordingWithSum(hour(1), &size, &sum)
	w.put(changed, []byte("bytes"))
	w.plan()
	core, logs := observer.New(zap.WarnLevel)
	b := worker.NewBuilder(config(), w.catalog, w.store.Recordings(), w.store.Archives(), time.Now, zap.New(core))
	w.expectKind(b.Hour(w.ctx, task(1)), domain.KindAllMissing)
	want := map[string]string{gone: catalog.ReasonNotFound, other: catalog.ReasonSize, changed: catalog.ReasonChecksum}
	story, err := w.catalog.HourStory(w.ctx, hour(1))
	w.must(err)
	named := logs.FilterMessage("recordings are not in the archive").All()
	if len(story.Missing) != len(want) || len(named) != 1 {
		t.Fatalf("the hour names %v, the log has %d lines", story.Missing, len(named))
	}
	text := fmt.Sprint(named[0].ContextMap()["recordings"], w.view(1).LastError)
	for _, m := range story.Missing {
		if m.Reason != want[m.ObjectKey] || !strings.Contains(text, m.Reason+" "+m.ObjectKey) || !strings.Contains(text, m.Reason+" (1): ") {
			t.Errorf("%+v, want %s, told as %s", m, want[m.ObjectKey], text)
		}
	}
}

// A build in which no byte moves ends by itself and is tried again.
func TestStalledBuild(t *testing.T) {
	w := newWorld(t)
	w.add(hour(1), 1000)
	w.plan()
	gate := newGated(w.store.Recordings())
	cfg := config()
	cfg.Stall = 200 * time.Millisecond
	cfg.Archive.PartSize = 1 << 10 // so that no time is allowed for a part on its way
	b := worker.NewBuilder(cfg, w.catalog, gate, w.store.Archives(), time.Now, w.log)
	w.expectKind(b.Hour(w.ctx, task(1)), domain.KindStalled)
	if v := w.view(1); v.State != catalog.StatePending || v.Failures != 1 {
		t.Errorf("%s after %d failures", v.State, v.Failures)
	}
}

// The answer to a Complete, a Put or a part gets lost, before or after it took place.
func TestUnclearStore(t *testing.T) {
	tests := []struct {
		name string
		size int
		call string
		done []bool
	}{
		{"complete done", 6 << 20, "complete", []bool{true}},
		{"complete not done", 6 << 20, "complete", []bool{false}},
		{"complete not done, then done", 6 << 20, "complete", []bool{false, true}},
		{"part done", 6 << 20, "part", []bool{true}},
		{"part not done", 6 << 20, "part", []bool{false, false}},
		{"put done", 600, "put", []bool{true}},
		{"put not done", 600, "put", []bool{false}},
		{"stat", 600, "stat", []bool{false, false}},
	}
	w := newWorld(t)
	for i, test := range tests {
		w.add(hour(i), test.size)
	}
	w.plan()
	for i, test := range tests {
		archives := &faultyArchives{Archives: w.store.Archives()}
		archives.fail(test.call, test.done...)
		b := worker.NewBuilder(config(), w.catalog, w.store.Recordings(), archives, time.Now, w.log)
		if err := b.Hour(w.ctx, task(i)); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		w.served(i)
		if n := archives.count(test.call); n <= len(test.done) && test.call != "complete" {
			t.Errorf("%s: called %d times", test.name, n)
		}
	}
}

// The answer to a commit gets lost, before or after it took place, and so may
// the answer to the question about it.
func TestUnclearCommit(t *testing.T) {
	tests := []struct {
		name      string
		commit    []bool
		published []bool
		commits   int
	}{
		{"done", []bool{true}, nil, 1},
		{"not done", []bool{false}, nil, 2},
		{"done, nobody answers for a while", []bool{true}, []bool{false, false}, 3},
		{"not done, nobody answers for a while", []bool{false, false}, []bool{false, true}, 3},
		{"not done, then done", []bool{false, true}, nil, 2},
	}
	w := newWorld(t)
	for i := range tests {
		w.add(hour(i), 100)
	}
	w.plan()
	for i, test := range tests {
		c := &faultyCatalog{Catalog: w.catalog}
		c.fail("commit", test.commit...)
		c.fail("published", test.published...)
		b := worker.NewBuilder(config(), c, w.store.Recordings(), w.store.Archives(), time.Now, w.log)
		if err := b.Hour(w.ctx, task(i)); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		w.served(i)
		if v := w.view(i); v.Revision != 1 || c.count("commit") != test.commits {
			t.Errorf("%s: revision %d after %d commits, want 1 after %d", test.name, v.Revision, c.count("commit"), test.commits)
		}
	}
}

// A commit took place, but its answer is lost. That the claim is gone by then says nothing.
func TestUnclearCommitEndsTheClaim(t *testing.T) {
	w := newWorld(t)
	w.add(hour(1), 100)
	w.plan()
	c := &endedCatalog{faultyCatalog: &faultyCatalog{Catalog: w.catalog}, refused: make(chan struct{})}
	c.fail("commit", true)
	c.fail("published", false, false)
	b := worker.NewBuilder(config(), c, w.store.Recordings(), w.store.Archives(), time.Now, w.log)
	w.must(b.Hour(w.ctx, task(1)))
	w.served(1)
}

// The catalog does not hear of a claim, or of a failure.
func TestUnclearClaimAndFailure(t *testing.T) {
	w := newWorld(t)
	size := int64(10)
	w.recording(hour(1), &size) // its bytes are missing
	w.plan()
	c := &faultyCatalog{Catalog: w.catalog}
	b := worker.NewBuilder(config(), c, w.store.Recordings(), w.store.Archives(), time.Now, w.log)
	c.fail("claim", false)
	w.expectKind(b.Hour(w.ctx, task(1)), domain.KindUnavailable)
	c.fail("fail", true)
	w.expectKind(b.Hour(w.ctx, task(1)), domain.KindAllMissing)
	if v := w.view(1); v.Failures != 1 {
		t.Errorf("%d failures were counted", v.Failures)
	}
}

// A builder is slow to die: its lease lapses, another one builds the hour, and
// only the other's archive is ever served.
func TestTakeover(t *testing.T) {
	w := newWorld(t)
	w.add(hour(3), 6<<20)
	w.plan()
	gate := newGated(w.store.Recordings())
	frozen := &faultyCatalog{Catalog: w.catalog}
	for range 10_000 {
		frozen.fail("renew", false)
	}
	slow := worker.NewBuilder(config(), frozen, gate, w.store.Archives(), time.Now, w.log)
	result := make(chan error, 1)
	go func() { result <- slow.Hour(context.WithoutCancel(w.ctx), task(3)) }()
	<-gate.reached
	w.at(night().Add(time.Hour))
	freed, err := w.catalog.ReleaseLapsed(w.ctx, 10)
	if err != nil || len(freed) != 1 {
		t.Fatal(freed, err)
	}
	w.must(w.builder(config()).Hour(w.ctx, task(3)))
	winner := w.view(3).Archive.ObjectKey
	close(gate.open)
	w.expectKind(<-result, domain.KindLost)
	w.served(3)
	if v := w.view(3); v.Revision != 1 || v.Archive.ObjectKey != winner {
		t.Errorf("revision %d is %s, want %s", v.Revision, v.Archive.ObjectKey, winner)
	}
	swept, err := w.sweeper().Sweep(w.ctx)
	if err != nil || swept.Spared != 1 { // the loser's object was whole: it goes with its day
		t.Errorf("swept %+v, %v", swept, err)
	}
	w.served(3)
}

// A builder that hears that its claim is lost stops at once.
func TestLostClaimEndsBuild(t *testing.T) {
	w := newWorld(t)
	w.add(hour(3), 1000)
	w.plan()
	gate := newGated(w.store.Recordings())
	b := worker.NewBuilder(config(), w.catalog, gate, w.store.Archives(), time.Now, w.log)
	result := make(chan error, 1)
	go func() { result <- b.Hour(context.WithoutCancel(w.ctx), task(3)) }()
	<-gate.reached
	// All days of this tenant end; the claim goes with them.
	w.at(day.End().Add(100 * 24 * time.Hour))
	_, err := w.catalog.ExpireDays(w.ctx, 10)
	w.must(err)
	w.expectKind(<-result, domain.KindLost)
	if v := w.view(3); v.State != catalog.StateExpired {
		t.Errorf("the hour is %s", v.State)
	}
}

// Builds wait until their buffers fit beside those of the others.
func TestAdmission(t *testing.T) {
	w := newWorld(t)
	for n := range 3 {
		w.add(hour(n), 1000)
	}
	w.plan()
	gate := newGated(w.store.Recordings())
	cfg := config()
	cfg.Memory = 1 // the first takes all there is
	b := worker.NewBuilder(cfg, w.catalog, gate, w.store.Archives(), time.Now, w.log)
	result := make(chan error, 3)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.ctx))
	defer stop()
	for n := range 3 {
		go func() { result <- b.Hour(ctx, task(n)) }()
	}
	<-gate.reached
	stop() // those who wait give up when they are told to, the one that reads as well
	for range 3 {
		w.expectKind(<-result, domain.KindInterrupted)
	}
	if n := len(gate.reached); n != 0 {
		t.Errorf("%d more reads while the budget was used up", n)
	}
	for n := range 3 {
		if v := w.view(n); v.Worker != "" || v.Failures != 0 || v.State != catalog.StatePending {
			t.Errorf("hour %d after a drain: %s, held by %q, %d failures", n, v.State, v.Worker, v.Failures)
		}
	}
	close(gate.open)
	for n := range 3 {
		w.must(b.Hour(w.ctx, task(n)))
		w.served(n)
	}
}
