package objstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

const (
	atOnce       = 8       // writers of one key
	leastPart    = 5 << 20 // bytes; only the last part may be smaller in S3
	cleanTimeout = 10 * time.Second
	keptProbe    = "probe" // the one object that stays in a bucket where nothing can be deleted
)

// trial tries one bucket.
type trial struct {
	*Bucket
	dir      string // of the probes, with a slash at its end
	data     []byte // of the first probe; another trial may write other data under the same key
	noDelete bool   // nothing can be deleted, so all trials use one key, which exists
	results  []domain.Capability
	written  []string
}

// Try finds out what the bucket can do, with probes that it removes again. Their keys begin with
// dir, which ends with a slash. With write false it writes nothing. One probe stays in a bucket
// where nothing can be deleted. With Config.Lock a locked probe stays in the archives bucket for a
// minute at least. The result says what the bucket lacks. An error, unavailable or interrupted,
// means that the store could not be asked. From then on the Store sends no checksums if the store
// does not take them.
func (b *Bucket) Try(ctx context.Context, dir string, write bool) ([]domain.Capability, error) {
	t := &trial{Bucket: b, dir: dir, data: []byte(rand.Text())}
	defer t.clean(ctx)
	absent := t.absence(ctx)
	if domain.KindOf(absent) == domain.KindRefused && !Denied(absent) && !b.store.noChecksums.Load() {
		b.store.DoWithoutChecksums(true) // some stores also refuse a HEAD that asks for checksums
		refused := absent
		if absent = t.absence(ctx); !write {
			t.results = append(t.results, domain.Capability{Name: CanChecksum, Saw: domain.SafeMessage(refused)})
		}
	}
	err := t.record(CanTellAbsent, absent)
	if err == nil {
		err = t.record(CanLongParts, t.longParts(ctx))
	}
	if err == nil && write {
		err = t.writing(ctx)
	}
	return t.results, err
}

// record adds the result of trying one capability. It returns an error when the store could not be
// asked.
func (t *trial) record(name string, err error) error {
	kind := domain.KindOf(err)
	if kind == domain.KindInterrupted || kind == domain.KindUnavailable && !Denied(err) {
		return fmt.Errorf("try %s: %w", name, err)
	}
	saw := ""
	if err != nil {
		saw = domain.SafeMessage(err)
	}
	t.results = append(t.results, domain.Capability{Name: name, Has: err == nil, Saw: saw})
	return nil
}

// unexpected is the error for a wrong answer of the store.
func unexpected(format string, args ...any) error {
	return domain.Errorf(domain.KindStoreFault, format, args...)
}

func (t *trial) key() string {
	if t.noDelete {
		return t.dir + keptProbe
	}
	key := t.dir + rand.Text()
	t.written = append(t.written, key)
	return key
}

func (t *trial) absence(ctx context.Context) error {
	_, err := t.Stat(ctx, t.dir+rand.Text())
	switch {
	case err == nil:
		return unexpected("a key that does not exist is there")
	case Denied(err):
		return domain.Wrap(domain.KindRefused, err, "the answer to a key that does not exist is 403; let callvault's user list the bucket (s3:ListBucket on arn:aws:s3:::%s)", t.name)
	case domain.KindOf(err) != domain.KindNotFound:
		return err
	}
	return nil
}

// longParts looks up a missing key with a long part: stores that cannot store such a key refuse it.
func (t *trial) longParts(ctx context.Context) error {
	t.store.RefuseLongParts(false)
	key := t.dir + strings.Repeat("x", maxKeyLength-len(t.dir))
	if _, err := t.Stat(ctx, key); domain.KindOf(err) != domain.KindNotFound {
		return err
	}
	return nil
}

// writing does the trials that write objects.
func (t *trial) writing(ctx context.Context) error {
	// Where nothing can be deleted, all trials share this key.
	probe := t.dir + keptProbe
	t.written = append(t.written, probe)
	err := t.checksums(ctx, probe)
	if Denied(err) { // it says nothing about checksums
		t.store.DoWithoutChecksums(false)
		return t.record(CanWrite, err)
	}
	if err := t.record(CanChecksum, err); err != nil {
		return err
	}
	_, err = t.Put(ctx, probe, t.data, PutOptions{})
	if err := t.record(CanWrite, err); err != nil || !t.results[len(t.results)-1].Has {
		return err
	}
	deleted := t.delete(ctx, probe)
	if err := t.record(CanDelete, deleted); err != nil {
		return err
	}
	t.noDelete = deleted != nil
	type capability struct {
		name string
		try  func(context.Context) error
	}
	list := []capability{
		{CanPutOnce, t.putOnce}, {CanUpload, t.upload}, {CanCompleteOnce, t.completeOnce}, {CanMatch, t.match}, {CanRange, t.ranges},
		{CanNameVersions, t.nameVersions},
	}
	if t.lock != NoLock {
		list = append(list, capability{CanLock(t.lock), t.locks})
	}
	for _, c := range list {
		if err := t.record(c.name, c.try(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// checksums checks that the store takes checksums and compares them. If not, none are sent from
// then on.
func (t *trial) checksums(ctx context.Context, key string) error {
	t.store.DoWithoutChecksums(false)
	_, err := t.Put(ctx, key, t.data, PutOptions{})
	if err == nil {
		wrong := crc32.ChecksumIEEE(t.data) + 1
		switch _, bad := t.Put(ctx, key, t.data, PutOptions{CRC32: &wrong}); domain.KindOf(bad) {
		case domain.KindStoreFault, domain.KindRefused: // both mean that the store compared it
		case "":
			err = unexpected("bytes of another checksum are taken")
		default:
			err = bad
		}
	}
	t.store.DoWithoutChecksums(err != nil)
	return err
}

func (t *trial) delete(ctx context.Context, key string) error {
	if err := t.Remove(ctx, key); err != nil {
		return err
	}
	err := t.compare(ctx, key, GetOptions{}, t.data)
	switch kind := domain.KindOf(err); {
	case err == nil:
		return unexpected("an object that was deleted is there")
	case kind == domain.KindNotFound, kind == domain.KindStoreFault, // another trial wrote it again
		Denied(err): // the trial of absent keys reports what 403 means
		return nil
	}
	return err
}

// race lets several writers write one key at once. One may succeed; none where the key exists
// already.
func (t *trial) race(write func(n int) error) error {
	errs := make([]error, atOnce)
	var wait sync.WaitGroup
	for n := range errs {
		wait.Go(func() { errs[n] = write(n) })
	}
	wait.Wait()
	taken, want := 0, 1
	if t.noDelete {
		want = 0
	}
	for _, err := range errs {
		switch domain.KindOf(err) {
		case "":
			taken++
		case domain.KindConflict:
		default:
			return err
		}
	}
	if taken != want {
		return unexpected("of %d writers of one key at once %d were told that they wrote it, instead of %d: If-None-Match is not held", atOnce, taken, want)
	}
	return nil
}

func (t *trial) putOnce(ctx context.Context) error {
	key := t.key()
	return t.race(func(n int) error {
		_, err := t.Put(ctx, key, fmt.Appendf(nil, "%s %d", key, n), PutOptions{IfNoneMatch: true})
		return err
	})
}

func (t *trial) completeOnce(ctx context.Context) error {
	key := t.key()
	ids, parts := make([]string, atOnce), make([]Part, atOnce)
	defer func() { t.abort(ctx, key, ids) }()
	for n := range ids {
		var err error
		if ids[n], err = t.NewUpload(ctx, key, UploadOptions{PartSize: leastPart}); err != nil {
			return err
		}
		data := fmt.Appendf(nil, "%s %d", key, n)
		if parts[n], err = t.PutPart(ctx, key, ids[n], 1, data, crc32.ChecksumIEEE(data)); err != nil {
			return err
		}
	}
	return t.race(func(n int) error {
		_, err := t.Complete(ctx, key, ids[n], parts[n:n+1], CompleteOptions{IfNoneMatch: true})
		return err
	})
}

// abort aborts uploads that were not completed. It ignores errors: what stays is small.
func (t *trial) abort(ctx context.Context, key string, ids []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	for _, id := range ids {
		if id != "" {
			_ = t.Abort(ctx, key, id)
		}
	}
}

// upload sends parts as a build does: all of one size but the last. The last is sent first here.
func (t *trial) upload(ctx context.Context) error {
	key := t.key()
	whole := bytes.Repeat([]byte("callvault "), leastPart/10+100)
	id, err := t.NewUpload(ctx, key, UploadOptions{PartSize: leastPart})
	if err != nil {
		return err
	}
	defer func() { t.abort(ctx, key, []string{id}) }()
	var parts []Part
	for n, data := range [][]byte{whole[leastPart:], whole[:leastPart]} {
		part, err := t.PutPart(ctx, key, id, 2-n, data, crc32.ChecksumIEEE(data))
		if err != nil {
			return err
		}
		parts = append(parts, part)
	}
	if t.noDelete {
		return nil // the object could not be removed
	}
	if _, err := t.Complete(ctx, key, id, parts, CompleteOptions{}); err != nil {
		return err
	}
	return t.compare(ctx, key, GetOptions{}, whole)
}

// compare reads the object and compares it.
func (t *trial) compare(ctx context.Context, key string, opts GetOptions, want []byte) error {
	o, err := t.Get(ctx, key, opts)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(o.Body, int64(len(want))+1))
	if err := errors.Join(err, o.Body.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return unexpected("other bytes are given than were written")
	}
	return nil
}

// clean removes what was written, by exact key. It ignores errors: the next trial uses other keys.
func (t *trial) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	for _, key := range t.written {
		_ = t.Remove(ctx, key)
	}
}
