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

func (w *world) removeSource(key string) {
	w.t.Helper()
	w.must(w.s3.RemoveObject(w.t.Context(), w.env["CALLVAULT_RECORDINGS_BUCKET"], key, minio.RemoveObjectOptions{}))
}

// TestBadSources has recordings whose bytes are not there, or not what was registered.
func TestBadSources(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme")
	d := day{"acme", w.yesterday()}
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
	w.take(list)
	// Each hour's second file goes wrong in its own way; of the last hour all are gone.
	spoil := func(h int, reason string, body []byte) {
		key := hour(h)[1].Key
		w.removeSource(key)
		if body != nil {
			w.must(w.store(t.Context(), key, body))
		}
		w.truth.change(key, func(r *recording) { r.missing = reason })
	}
	spoil(1, "not_found", nil)
	spoil(2, "size_changed", noise("shorter", 100))
	spoil(3, "size_changed", noise("longer", 9000))
	spoil(4, "checksum_mismatch", noise("replaced", len(hour(4)[1].body)))
	for _, r := range hour(5) {
		w.removeSource(r.Key)
	}
	w.start("api,scheduler,worker")
	w.settled(d)
	_, answer := w.askDay("acme", d.day)
	if l := answer.Links[5]; l.Status != catalog.StateFailed || l.URL != nil || l.Files != 0 {
		t.Errorf("an hour of which every file is missing is %s", l.Status)
	}
	v, err := w.cat.Day(t.Context(), "acme", d.day)
	w.must(err)
	if h := v.Hours[5]; h.LastKind != string(domain.KindAllMissing) || h.LastError == "" {
		t.Errorf("the failed hour says %q: %q", h.LastKind, h.LastError)
	}
	failed := hour(5)
	for _, r := range failed { // of no archive yet
		delete(w.truth.all, r.Key)
	}
	w.check(d)
	// Vanished audio that is uploaded later ends in the next revision.
	back := hour(1)[1]
	w.upload("acme", back.Key, back.body)
	w.truth.change(back.Key, func(r *recording) { r.missing = "" })
	for _, r := range failed {
		w.upload("acme", r.Key, r.body)
	}
	w.truth.add(failed...)
	eventually(t, "the uploads are archived", func(context.Context) string {
		v, err := w.cat.Day(t.Context(), "acme", d.day)
		w.must(err)
		if h := v.Hours[1]; h.Revision < 2 || h.Rebuilding {
			return fmt.Sprintf("hour 1 has revision %d", h.Revision)
		}
		if h := v.Hours[5]; h.State != catalog.StateAvailable || h.Rebuilding {
			return fmt.Sprintf("hour 5 is %s, due %s", h.State, h.Due)
		}
		return ""
	})
	w.check(d)
	w.clean()
}

// TestSourcesChangeDuringBuild changes recordings while their archive is built.
func TestSourcesChangeDuringBuild(t *testing.T) {
	w := newWorld(t)
	w.tenant("acme")
	d := day{"acme", w.yesterday()}
	list := spread(domain.HourKey{Tenant: "acme", Day: d.day, Hour: 7}, "r", 24, 1<<20)
	w.take(list)
	w.start("api,scheduler")
	w.startWith(w.slowStore(25*time.Millisecond), "worker")
	eventually(t, "the archive is being written", func(context.Context) string {
		if w.number(`SELECT count(*) FROM archives WHERE state = 'writing'`) == 0 {
			return "it is not"
		}
		return ""
	})
	vanished, shrunk, grown, replaced := list[23], list[22], list[21], list[20]
	w.removeSource(vanished.Key)
	w.must(w.store(t.Context(), shrunk.Key, shrunk.body[:1000]))
	w.must(w.store(t.Context(), grown.Key, append(grown.body, "more"...)))
	other := say("acme", replaced.Key, replaced.At, noise("other bytes", len(replaced.body)))
	w.must(w.store(t.Context(), replaced.Key, other.body))
	w.settled(d)
	held, _ := w.fetch(d)
	changed := 0
	for key, reason := range map[string]string{vanished.Key: "not_found", shrunk.Key: "size_changed", grown.Key: "size_changed"} {
		if len(held[key]) == 1 && held[key][0].missing != "" { // else its bytes were read before the change
			changed++
			w.truth.change(key, func(r *recording) { r.missing = reason })
		}
	}
	if f := held[replaced.Key]; len(f) == 1 && f[0].sum == other.sum { // of its size, and nobody had told its checksum
		changed++
		w.truth.change(replaced.Key, func(r *recording) { r.sum = other.sum })
	}
	t.Logf("%d of 4 changes came before the bytes were read", changed)
	if changed == 0 {
		t.Error("no change came before the bytes were read")
	}
	w.check(d)
	w.clean()
}
