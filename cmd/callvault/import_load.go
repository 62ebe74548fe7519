package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/ingest"
)

// open opens the file. size is 0 if it is not known; then the file cannot seek.
func (c *importCmd) open(d *deps) (in io.ReadSeekCloser, size int64, err error) {
	if c.File == "-" {
		return stream{d.stdin}, 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, fmt.Errorf("nothing to import: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(err, f.Close())
	case info.IsDir():
		return nil, 0, errors.Join(&usageError{c.File + " is a directory; name an NDJSON file"}, f.Close())
	case !info.Mode().IsRegular(): // a pipe
		return f, 0, nil
	}
	return f, info.Size(), nil
}

// stream is standard input as open returns it.
type stream struct{ io.Reader }

func (stream) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }
func (stream) Close() error                   { return nil }

// load takes the lines in. A bar shows the bytes of lines that are stored, another the bytes of
// audio that are in the bucket.
func (c *importCmd) load(ctx context.Context, d *deps, p *app.Parts, in io.ReadSeeker, size int64) (out importJSON, err error) {
	progress := console.NewProgress(ctx, d.stderr, console.IsTerminal(d.stderr), time.Now)
	defer progress.Close()
	var audio importedAudio
	var to ingest.Registrar = p.Catalog
	if c.Audio != "" {
		dir := &ingest.AudioDir{Dir: c.Audio, Catalog: p.Catalog, Bucket: p.Recordings, Absent: audio.addAbsent, Uploaded: audio.add}
		var total int64
		if total, err = measure(ctx, progress, dir, in, size); err != nil {
			return importJSON{}, err
		}
		bar := progress.Start("audio", total)
		defer func() { bar.End(err) }()
		to, dir.Sent = dir, bar.Add
	}
	to = ingest.KeyChecker{Registrar: to, CheckKey: p.Recordings.CheckKey}
	lines := &countingReader{Reader: in}
	bar, told := progress.Start("lines", size), int64(0)
	stored := func(catalog.Batch) {
		bar.Add(lines.n - told)
		told = lines.n
	}
	r, err := ingest.Load(ctx, ingest.WithOrigin(commandOrigin(), to), c.Tenant, lines, stored)
	bar.End(err)
	return audio.result(r), err
}

// measure returns the bytes of audio that the lines name; 0 where they can be read only once.
func measure(ctx context.Context, progress *console.Progress, dir *ingest.AudioDir, in io.ReadSeeker, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	bar := progress.Start("sizes of audio", size)
	total, err := dir.Measure(ctx, &countingReader{Reader: in, add: bar.Add})
	if err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	bar.End(err)
	return total, err
}

// countingReader counts what is read.
type countingReader struct {
	io.Reader
	n   int64
	add func(int64) // nil for nobody
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.n += int64(n); c.add != nil {
		c.add(int64(n))
	}
	return n, err
}

// maxAbsentKeys is how many keys without audio are listed.
const maxAbsentKeys = 5

// importedAudio collects what became of the audio.
type importedAudio struct {
	mu             sync.Mutex
	files, existed int64
	bytes          int64
	absent         int
	absentKeys     []string
}

func (a *importedAudio) add(bytes int64, existed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files++
	a.bytes += bytes
	if existed {
		a.existed++
	}
}

func (a *importedAudio) addAbsent(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.absent++; len(a.absentKeys) < maxAbsentKeys {
		a.absentKeys = append(a.absentKeys, key)
	}
}

// result returns what was imported, once nothing is added any more.
func (a *importedAudio) result(r ingest.Result) importJSON {
	return importJSON{Result: r, AudioFiles: a.files, AudioExisted: a.existed, AudioBytes: a.bytes, AudioAbsent: a.absent, AbsentKeys: a.absentKeys}
}
