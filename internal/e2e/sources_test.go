package e2e_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func (f *fixture) removeSource(key string) {
	f.t.Helper()
	f.must(f.s3.RemoveObject(f.t.Context(), f.env["CALLVAULT_RECORDINGS_BUCKET"], key, minio.RemoveObjectOptions{}))
}

// TestBadSources builds hours with recordings whose bytes are missing or differ from their line.
func TestBadSources(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme")
	d := day{"acme", f.yesterday()}
	hour := func(h int) []recording {
		return spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: h}, "r", 3, 5000)
	}
	var list []recording
	for h := range 6 {
		some := hour(h)
		if h == 4 {
			some[1].CRC32 = fmt.Sprintf("%08x", crc32.ChecksumIEEE(some[1].body))
		}
		list = append(list, some...)
	}
	f.take(list)
	// Each hour's second file has another fault. In the last hour all files are missing.
	spoil := func(h int, reason string, body []byte) {
		key := hour(h)[1].Key
		f.removeSource(key)
		if body != nil {
			f.must(f.store(t.Context(), key, body))
		}
		f.truth.change(key, func(r *recording) { r.missing = reason })
	}
	spoil(1, "not_found", nil)
	spoil(2, "size_changed", noise("shorter", 100))
	spoil(3, "size_changed", noise("longer", 9000))
	spoil(4, "checksum_mismatch", noise("replaced", len(hour(4)[1].body)))
	for _, r := range hour(5) {
		f.removeSource(r.Key)
	}
	f.start("api,scheduler,worker")
	f.waitBuilt(d)
	_, answer := f.askDay("acme", d.day)
	if l := answer.Links[5]; l.Status != catalog.StateFailed || l.URL != nil || l.Files != 0 {
		t.Errorf("an hour of which every file is missing is %s", l.Status)
	}
	v, err := f.cat.Day(t.Context(), "acme", d.day)
	f.must(err)
	if h := v.Hours[5]; h.LastKind != string(domain.KindAllMissing) || h.LastError == "" {
		t.Errorf("the failed hour says %q: %q", h.LastKind, h.LastError)
	}
	failed := hour(5)
	for _, r := range failed { // they are in no archive yet
		delete(f.truth.all, r.Key)
	}
	f.check(d)
	// Missing audio that is uploaded later is in the next revision.
	back := hour(1)[1]
	f.upload("acme", back.Key, back.body)
	f.truth.change(back.Key, func(r *recording) { r.missing = "" })
	for _, r := range failed {
		f.upload("acme", r.Key, r.body)
	}
	f.truth.add(failed...)
	eventually(t, "the uploads are archived", func(context.Context) string {
		v, err := f.cat.Day(t.Context(), "acme", d.day)
		f.must(err)
		if h := v.Hours[1]; h.Revision < 2 || h.Rebuilding {
			return fmt.Sprintf("hour 1 has revision %d", h.Revision)
		}
		if h := v.Hours[5]; h.State != catalog.StateAvailable || h.Rebuilding {
			return fmt.Sprintf("hour 5 is %s, due %s", h.State, h.Due)
		}
		return ""
	})
	f.check(d)
	f.clean()
}

// TestSourcesChangeDuringBuild changes recordings while their archive is built.
func TestSourcesChangeDuringBuild(t *testing.T) {
	f := newFixture(t)
	f.tenant("acme")
	d := day{"acme", f.yesterday()}
	list := spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: 7}, "r", 24, 1<<20)
	f.take(list)
	f.start("api,scheduler")
	f.startWith(f.slowStore(25*time.Millisecond), "worker")
	eventually(t, "the archive is being written", func(context.Context) string {
		if f.number(`SELECT count(*) FROM archives WHERE state = 'writing'`) == 0 {
			return "it is not"
		}
		return ""
	})
	vanished, shrunk, grown, replaced := list[23], list[22], list[21], list[20]
	f.removeSource(vanished.Key)
	f.must(f.store(t.Context(), shrunk.Key, shrunk.body[:1000]))
	f.must(f.store(t.Context(), grown.Key, append(grown.body, "more"...)))
	other := say("acme", replaced.Key, replaced.At, noise("other bytes", len(replaced.body)))
	f.must(f.store(t.Context(), replaced.Key, other.body))
	f.waitBuilt(d)
	held, _ := f.fetch(d)
	changed := 0
	for key, reason := range map[string]string{vanished.Key: "not_found", shrunk.Key: "size_changed", grown.Key: "size_changed"} {
		if len(held[key]) == 1 && held[key][0].missing != "" { // else its bytes were read before the change
			changed++
			f.truth.change(key, func(r *recording) { r.missing = reason })
		}
	}
	if files := held[replaced.Key]; len(files) == 1 && files[0].sum == other.sum { // of its size, and nobody had told its checksum
		changed++
		f.truth.change(replaced.Key, func(r *recording) { r.sum = other.sum })
	}
	t.Logf("%d of 4 changes came before the bytes were read", changed)
	if changed == 0 {
		t.Error("no change came before the bytes were read")
	}
	f.check(d)
	f.clean()
}
