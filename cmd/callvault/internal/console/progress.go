package console

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	humanize "github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// lineEvery is the time between two lines about a running task, when there are no bars.
const lineEvery = 10 * time.Second

// Progress shows the progress of tasks. It is safe for concurrent use.
type Progress struct {
	bars *mpb.Progress // nil where lines are printed
	now  func() time.Time

	mu  sync.Mutex
	out io.Writer
}

// NewProgress shows bars if terminal is true. Else it prints a line when a task ends, and every ten
// seconds while it runs, by the clock now. The bars end with ctx.
func NewProgress(ctx context.Context, out io.Writer, terminal bool, now func() time.Time) *Progress {
	p := &Progress{out: out, now: now}
	if terminal {
		p.bars = mpb.NewWithContext(ctx, mpb.WithOutput(out), mpb.WithAutoRefresh(), mpb.WithWidth(64))
	}
	return p
}

// Task is one task, such as a download.
type Task struct {
	progress *Progress
	name     string
	total    int64
	size     func(int64) string // how an amount is written
	bar      *mpb.Bar
	failed   atomic.Bool

	mu   sync.Mutex
	done int64
	last time.Time
}

// outcome decorates a task's bar. The bar itself calls a task done that failed with all bytes
// there.
type outcome struct {
	decor.Decorator
	failed *atomic.Bool
}

func (o outcome) Decor(s decor.Statistics) (string, int) {
	s.Aborted = s.Aborted || o.failed.Load()
	return o.Decorator.Decor(s)
}

// Start shows a task of total bytes; 0 if that is not known.
func (p *Progress) Start(name string, total int64) *Task {
	return p.start(name, total, size, decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace), decor.AverageSpeed(decor.SizeB1024(0), " % .1f"))
}

// StartCount shows a task of total things, such as hours or lines; 0 if that is not known.
func (p *Progress) StartCount(name string, total int64) *Task {
	return p.start(name, total, humanize.Comma, decor.CountersNoUnit("%d / %d", decor.WCSyncSpace), decor.Name(""))
}

func (p *Progress) start(name string, total int64, size func(int64) string, counters, speed decor.Decorator) *Task {
	t := &Task{progress: p, name: Clean(name), total: total, size: size, last: p.now()}
	if p.bars != nil {
		// A bar that is made with its total is done as soon as all bytes are there, damaged or not.
		t.bar = p.bars.AddBar(0, mpb.PrependDecorators(decor.Name(t.name, decor.WCSyncSpaceR)), mpb.AppendDecorators(
			counters, outcome{decor.OnAbort(decor.OnComplete(speed, " done"), " failed"), &t.failed}))
		t.bar.SetTotal(total, false)
	}
	return t
}

// Add adds n to what is done.
func (t *Task) Add(n int64) {
	if t.bar != nil {
		t.bar.IncrInt64(n)
		return
	}
	t.mu.Lock()
	t.done += n
	done, now := t.done, t.progress.now()
	due := now.Sub(t.last) >= lineEvery
	if due {
		t.last = now
	}
	t.mu.Unlock()
	if due {
		t.progress.Printf("%s: %s", t.name, t.soFar(done))
	}
}

func (t *Task) soFar(done int64) string {
	if t.total <= 0 {
		return t.size(done)
	}
	return fmt.Sprintf("%s of %s (%d %%)", t.size(done), t.size(t.total), int64(float64(done)/float64(t.total)*100))
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// End ends the task; err is nil if it succeeded. The command reports the error itself.
func (t *Task) End(err error) {
	if t.bar != nil {
		if err != nil {
			t.failed.Store(true)
			t.bar.Abort(false)
			return
		}
		t.bar.SetTotal(-1, true)
		return
	}
	t.mu.Lock()
	done := t.done
	t.mu.Unlock()
	if err != nil {
		t.progress.Printf("%s: failed after %s", t.name, t.size(done))
		return
	}
	t.progress.Printf("%s: done, %s", t.name, t.size(done))
}

// Printf writes one line, above the bars if there are any. It ignores errors of writing.
func (p *Progress) Printf(format string, args ...any) {
	line := Clean(fmt.Sprintf(format, args...)) + "\n"
	if p.bars != nil {
		_, _ = io.WriteString(p.bars, line)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, line)
}

// Close waits until the bars are drawn. Every task must have ended, or the context of NewProgress.
func (p *Progress) Close() {
	if p.bars != nil {
		p.bars.Wait()
	}
}
