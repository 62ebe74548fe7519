package worker_test

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/worker"
)

// zeroRecordings is a bucket whose objects consist of zeros, of the sizes that a function gives.
type zeroRecordings struct{ sizes func(key string) int64 }

func (g zeroRecordings) Stat(_ context.Context, key string) (objstore.Info, error) {
	return objstore.Info{Size: g.sizes(key), ETag: "etag"}, nil
}

func (g zeroRecordings) Get(_ context.Context, key string, o objstore.GetOptions) (*objstore.Object, error) {
	size := g.sizes(key)
	to := size
	if o.To > 0 {
		to = o.To
	}
	return &objstore.Object{Info: objstore.Info{Size: size, ETag: "etag"}, From: o.From, To: to,
		Body: io.NopCloser(io.LimitReader(zeros{}, to-o.From))}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// sizeArchives is a bucket that keeps only the sizes of its objects.
type sizeArchives struct {
	worker.Getter // nil: no archive is read

	mu    sync.Mutex
	sizes map[string]int64
}

func (s *sizeArchives) add(key string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[key] += int64(n)
}

func (s *sizeArchives) NewUpload(context.Context, string, objstore.UploadOptions) (string, error) {
	return "upload", nil
}

func (s *sizeArchives) PutPart(_ context.Context, key, _ string, n int, data []byte, sum uint32) (objstore.Part, error) {
	s.add(key, len(data))
	return objstore.Part{Number: n, CRC32: sum, Size: int64(len(data))}, nil
}

func (s *sizeArchives) Complete(context.Context, string, string, []objstore.Part, objstore.CompleteOptions) (string, error) {
	return "etag", nil
}

func (s *sizeArchives) Put(_ context.Context, key string, data []byte, _ objstore.PutOptions) (string, error) {
	s.add(key, len(data))
	return "etag", nil
}

func (s *sizeArchives) Stat(_ context.Context, key string) (objstore.Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return objstore.Info{Size: s.sizes[key], ETag: "etag"}, nil
}

func (s *sizeArchives) Abort(context.Context, string, string) error { return nil }
func (s *sizeArchives) AbortAll(context.Context, string) error      { return nil }
func (s *sizeArchives) Sync(string) error                           { return nil }

// inUse is how many bytes of the system's memory the Go runtime uses.
func inUse() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()) - int64(samples[1].Value.Uint64())
}

// largeHour is a catalog in which hour 7 has 70,000 recordings. They are not registered, because
// that would take most of the test's time.
type largeHour struct{ worker.Builds }

func (c largeHour) BuildInput(ctx context.Context, claim catalog.Claim) (catalog.BuildInput, error) {
	in, err := c.Builds.BuildInput(ctx, claim)
	if err != nil || claim.Hour != 7 {
		return in, err
	}
	in.Recordings = nil
	for i := range 70_000 {
		size := int64(smallSize)
		id := fmt.Sprintf("agent_1_1705320000_%06d", i/4)
		in.Recordings = append(in.Recordings, catalog.BuildRecording{ExternalConversationID: strings.Clone(id), Recording: domain.Recording{
			ObjectKey: fmt.Sprintf("voice/%s/project/conversations/2031/03/10/%s/message_%d_agent_tts.opus", tenant, id, i),
			Timestamp: claim.At.Add(time.Duration(i) * time.Millisecond), Type: strings.Clone("agent_tts"), ConversationID: id,
			SessionID: fmt.Sprintf("session-%06d", i/4), MessageID: int64(i), Size: &size,
		}})
	}
	return in, nil
}

const (
	smallSize = 1000
	largeSize = 300 << 20 // many times the size of the buffers
)

// Two builds of large recordings and one of 70,000 small ones at the same time take at most 96 MiB
// more than an idle process, with the default settings.
func TestMemory(t *testing.T) {
	f := newFixture(t)
	small := int64(smallSize)
	f.recording(hour(7), &small)
	large := int64(largeSize)
	f.recording(hour(0), &large)
	f.recording(hour(1), &large)
	f.plan()
	debug.FreeOSMemory()
	before := debug.SetMemoryLimit(88 << 20) // so that little garbage is counted
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	b := worker.NewBuilder(worker.Config{Name: "measured"}, largeHour{f.catalog}, zeroRecordings{func(key string) int64 {
		if strings.HasPrefix(key, "calls/") { // one of the registered recordings
			return largeSize
		}
		return smallSize
	}}, &sizeArchives{sizes: map[string]int64{}}, time.Now, f.log)

	idle := inUse()
	peak := idle
	stop := make(chan struct{})
	var watch, builds sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				peak = max(peak, inUse())
			}
		}
	})
	for _, n := range []int{0, 1, 7} {
		builds.Go(func() {
			if err := b.BuildHour(context.WithoutCancel(f.ctx), task(n)); err != nil {
				t.Error(err)
			}
		})
	}
	builds.Wait()
	close(stop)
	watch.Wait()
	t.Logf("idle %d MiB, peak %d MiB", idle>>20, peak>>20)
	if more := peak - idle; more > 96<<20 {
		t.Errorf("the builds held %d MiB", more>>20)
	}
	for n, files := range map[int]int{0: 1, 1: 1, 7: 70_000} {
		if v := f.view(n); v.Archive == nil || v.Archive.Files != files {
			t.Errorf("hour %d: %+v", n, v)
		}
	}
}
