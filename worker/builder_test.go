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
	f := newPostgresFixture(t)
	f.add(hour(7), 1000)
	unknown := f.recording(hour(7), nil)
	f.put(unknown, audio(2, 2000))
	gone := f.recording(hour(7), nil)
	size := int64(300)
	alsoGone := f.recording(hour(7), &size)
	f.add(hour(7), 0)
	f.plan()
	var ended worker.Outcome
	cfg := config()
	cfg.OnBuild = func(e worker.Outcome) { ended = e }
	b := f.builder(cfg)
	f.must(b.BuildHour(f.ctx, task(7)))

	z := f.served(7)
	if len(z.File) != 5 {
		t.Errorf("%d entries, want three recordings, metadata.json and SHA256SUMS", len(z.File))
	}
	var metadata struct {
		MissingFiles []struct{ OriginalPath, Reason string }
	}
	file, err := z.Open("metadata.json")
	f.must(err)
	f.must(json.NewDecoder(file).Decode(&metadata))
	if m := metadata.MissingFiles; len(m) != 2 || m[0].OriginalPath != gone || m[1].OriginalPath != alsoGone || m[0].Reason != "not_found" {
		t.Errorf("missing files: %+v", m)
	}
	v := f.view(7)
	if v.Revision != 1 || v.Archive.Files != 3 || v.Archive.MissingCount != 2 || v.Archive.Sessions != 2 || v.Rebuilding {
		t.Errorf("served: %+v %+v", v, v.Archive)
	}
	if ended.Kind != "" || ended.Files != 3 || ended.Missing != 2 || ended.Size != v.Archive.Size {
		t.Errorf("told: %+v", ended)
	}
	// A second run of the task has nothing to do.
	f.must(b.BuildHour(f.ctx, task(7)))
	if again := f.view(7); again.Revision != 1 {
		t.Errorf("revision %d", again.Revision)
	}
	f.must(b.BuildHour(f.ctx, task(8)))
	if v := f.view(8); v.State != catalog.StateNoData {
		t.Errorf("an hour without data is %s", v.State)
	}
}

func TestBuildInParts(t *testing.T) {
	f := newFixture(t)
	f.add(hour(7), 12<<20)
	f.add(hour(7), 100)
	f.plan()
	f.must(f.builder(config()).BuildHour(f.ctx, task(7)))
	if z := f.served(7); len(z.File) != 4 {
		t.Errorf("%d entries", len(z.File))
	}
	if err := f.store.Archives().AbortAll(f.ctx, f.view(7).Archive.ObjectKey); err != nil {
		t.Error(err)
	}
}

func TestBuildFails(t *testing.T) {
	f := newFixture(t)
	size := int64(5000)
	f.recording(hour(1), &size)
	f.add(hour(2), 9000)
	f.plan()
	cfg := config()
	cfg.Archive.MaxSize = 8000
	b := f.builder(cfg)
	for n, kind := range map[int]domain.Kind{1: domain.KindAllMissing, 2: domain.KindTooLarge} {
		f.expectKind(b.BuildHour(f.ctx, task(n)), kind)
		if v := f.view(n); v.State != catalog.StateFailed || v.LastKind != string(kind) || v.LastError == "" {
			t.Errorf("hour %d: %s %s %q", n, v.State, v.LastKind, v.LastError)
		}
	}
}

// A build fails because every recording is missing. The hour and the log name each with its reason.
func TestBuildNamesWhatIsMissing(t *testing.T) {
	f := newFixture(t)
	size, sum := int64(5), uint32(1)
	gone := f.recording(hour(1), &size)
	other := f.recording(hour(1), &size)
	f.put(other, []byte("elevenbytes"))
	changed := f.recordingWithSum(hour(1), &size, &sum)
	f.put(changed, []byte("bytes"))
	f.plan()
	core, logs := observer.New(zap.WarnLevel)
	b := worker.NewBuilder(config(), f.catalog, f.store.Recordings(), f.store.Archives(), time.Now, zap.New(core))
	f.expectKind(b.BuildHour(f.ctx, task(1)), domain.KindAllMissing)
	want := map[string]string{gone: catalog.ReasonNotFound, other: catalog.ReasonSize, changed: catalog.ReasonChecksum}
	story, err := f.catalog.HourHistory(f.ctx, hour(1))
	f.must(err)
	named := logs.FilterMessage("recordings are not in the archive").All()
	if len(story.Missing) != len(want) || len(named) != 1 {
		t.Fatalf("the hour names %v, the log has %d lines", story.Missing, len(named))
	}
	text := fmt.Sprint(named[0].ContextMap()["recordings"], f.view(1).LastError)
	for _, m := range story.Missing {
		if m.Reason != want[m.ObjectKey] || !strings.Contains(text, m.Reason+" "+m.ObjectKey) || !strings.Contains(text, m.Reason+" (1): ") {
			t.Errorf("%+v, want %s, told as %s", m, want[m.ObjectKey], text)
		}
	}
}

// A build in which no byte moves fails, and its hour is tried again.
func TestStalledBuild(t *testing.T) {
	f := newFixture(t)
	f.add(hour(1), 1000)
	f.plan()
	gate := newGated(f.store.Recordings())
	cfg := config()
	cfg.Stall = 200 * time.Millisecond
	cfg.Archive.PartSize = 1 << 10 // so small that no time is added for its upload
	b := worker.NewBuilder(cfg, f.catalog, gate, f.store.Archives(), time.Now, f.log)
	f.expectKind(b.BuildHour(f.ctx, task(1)), domain.KindStalled)
	if v := f.view(1); v.State != catalog.StatePending || v.Failures != 1 {
		t.Errorf("%s after %d failures", v.State, v.Failures)
	}
}

// The answer to a Complete, a Put or a PutPart gets lost, before or after it took effect.
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
	f := newFixture(t)
	for i, test := range tests {
		f.add(hour(i), test.size)
	}
	f.plan()
	for i, test := range tests {
		archives := &faultyArchives{archives: f.store.Archives()}
		archives.fail(test.call, test.done...)
		b := worker.NewBuilder(config(), f.catalog, f.store.Recordings(), archives, time.Now, f.log)
		if err := b.BuildHour(f.ctx, task(i)); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		f.served(i)
		if n := archives.count(test.call); n <= len(test.done) && test.call != "complete" {
			t.Errorf("%s: called %d times", test.name, n)
		}
	}
}

// The answer to a commit gets lost, before or after it took effect, and so may the answer to
// Published.
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
	f := newFixture(t)
	for i := range tests {
		f.add(hour(i), 100)
	}
	f.plan()
	for i, test := range tests {
		c := &faultyCatalog{Builds: f.catalog}
		c.fail("commit", test.commit...)
		c.fail("published", test.published...)
		b := worker.NewBuilder(config(), c, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
		if err := b.BuildHour(f.ctx, task(i)); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		f.served(i)
		if v := f.view(i); v.Revision != 1 || c.count("commit") != test.commits {
			t.Errorf("%s: revision %d after %d commits, want 1 after %d", test.name, v.Revision, c.count("commit"), test.commits)
		}
	}
}

// A commit took effect, but its answer is lost. The lost claim does not end the build.
func TestUnclearCommitEndsTheClaim(t *testing.T) {
	f := newFixture(t)
	f.add(hour(1), 100)
	f.plan()
	c := &endedCatalog{faultyCatalog: &faultyCatalog{Builds: f.catalog}, refused: make(chan struct{})}
	c.fail("commit", true)
	c.fail("published", false, false)
	b := worker.NewBuilder(config(), c, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
	f.must(b.BuildHour(f.ctx, task(1)))
	f.served(1)
}

// The call to Claim gets lost, and the answer to Fail.
func TestUnclearClaimAndFailure(t *testing.T) {
	f := newFixture(t)
	size := int64(10)
	f.recording(hour(1), &size) // its bytes are missing
	f.plan()
	c := &faultyCatalog{Builds: f.catalog}
	b := worker.NewBuilder(config(), c, f.store.Recordings(), f.store.Archives(), time.Now, f.log)
	c.fail("claim", false)
	f.expectKind(b.BuildHour(f.ctx, task(1)), domain.KindUnavailable)
	c.fail("fail", true)
	f.expectKind(b.BuildHour(f.ctx, task(1)), domain.KindAllMissing)
	if v := f.view(1); v.Failures != 1 {
		t.Errorf("%d failures were counted", v.Failures)
	}
}

// The lease of a builder lapses while it works, and another one builds the hour. Only the other's
// archive is ever served.
func TestTakeover(t *testing.T) {
	f := newFixture(t)
	f.add(hour(3), 6<<20)
	f.plan()
	gate := newGated(f.store.Recordings())
	cut := &faultyCatalog{Builds: f.catalog}
	for range 10_000 {
		cut.fail("renew", false)
	}
	slow := worker.NewBuilder(config(), cut, gate, f.store.Archives(), time.Now, f.log)
	result := make(chan error, 1)
	go func() { result <- slow.BuildHour(context.WithoutCancel(f.ctx), task(3)) }()
	<-gate.reached
	f.at(night().Add(time.Hour))
	freed, err := f.catalog.ReleaseLapsed(f.ctx, 10)
	if err != nil || len(freed) != 1 {
		t.Fatal(freed, err)
	}
	f.must(f.builder(config()).BuildHour(f.ctx, task(3)))
	winner := f.view(3).Archive.ObjectKey
	close(gate.open)
	f.expectKind(<-result, domain.KindLost)
	f.served(3)
	if v := f.view(3); v.Revision != 1 || v.Archive.ObjectKey != winner {
		t.Errorf("revision %d is %s, want %s", v.Revision, v.Archive.ObjectKey, winner)
	}
	swept, err := f.sweeper().Sweep(f.ctx)
	if err != nil || swept.Kept != 1 { // the loser's object was whole: it goes with its day
		t.Errorf("swept %+v, %v", swept, err)
	}
	f.served(3)
}

// A builder stops when a renewal says that its claim is lost.
func TestLostClaimEndsBuild(t *testing.T) {
	f := newFixture(t)
	f.add(hour(3), 1000)
	f.plan()
	gate := newGated(f.store.Recordings())
	b := worker.NewBuilder(config(), f.catalog, gate, f.store.Archives(), time.Now, f.log)
	result := make(chan error, 1)
	go func() { result <- b.BuildHour(context.WithoutCancel(f.ctx), task(3)) }()
	<-gate.reached
	// The day ends, and with it the claim.
	f.at(day.End().Add(100 * 24 * time.Hour))
	_, err := f.catalog.ExpireDays(f.ctx, 10)
	f.must(err)
	f.expectKind(<-result, domain.KindLost)
	if v := f.view(3); v.State != catalog.StateExpired {
		t.Errorf("the hour is %s", v.State)
	}
}

// Builds wait until there is memory for their buffers.
func TestMemoryIsReserved(t *testing.T) {
	f := newFixture(t)
	for n := range 3 {
		f.add(hour(n), 1000)
	}
	f.plan()
	gate := newGated(f.store.Recordings())
	cfg := config()
	cfg.Memory = 1 // so that the first takes all of it
	b := worker.NewBuilder(cfg, f.catalog, gate, f.store.Archives(), time.Now, f.log)
	result := make(chan error, 3)
	ctx, stop := context.WithCancel(context.WithoutCancel(f.ctx))
	defer stop()
	for n := range 3 {
		go func() { result <- b.BuildHour(ctx, task(n)) }()
	}
	<-gate.reached
	stop() // ends the builds that wait, and the one that reads
	for range 3 {
		f.expectKind(<-result, domain.KindInterrupted)
	}
	if n := len(gate.reached); n != 0 {
		t.Errorf("%d more reads while the budget was used up", n)
	}
	for n := range 3 {
		if v := f.view(n); v.Worker != "" || v.Failures != 0 || v.State != catalog.StatePending {
			t.Errorf("hour %d after a drain: %s, held by %q, %d failures", n, v.State, v.Worker, v.Failures)
		}
	}
	close(gate.open)
	for n := range 3 {
		f.must(b.BuildHour(f.ctx, task(n)))
		f.served(n)
	}
}
