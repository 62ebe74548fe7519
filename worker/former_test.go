package worker_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// contents gives the bytes of an archive's recordings, by path.
func contents(t *testing.T, z *zip.Reader) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range z.File {
		if !strings.Contains(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		out[f.Name] = string(data)
	}
	return out
}

// erase removes a recording's row and takes its hour's archive away.
func (f *fixture) erase(key domain.HourKey, object string) {
	f.Helper()
	f.must(f.catalog.DB().Update(f.ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(f.ctx, `DELETE FROM recordings WHERE object_key = $1`, object); err != nil {
			return err
		}
		_, err := catalog.HideHours(f.ctx, tx, []domain.HourKey{key})
		return err
	}))
}

// An hour is built without an erased recording. The sources of others are gone or changed
// meanwhile: they come from the former archive, byte by byte.
func TestRebuildAfterAnErasure(t *testing.T) {
	for name, size := range map[string]int{"in one part": 1000, "in parts": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			f := newPostgresFixture(t)
			gone := f.add(hour(7), size)
			unsized := f.recording(hour(7), nil)
			f.put(unsized, audio(50, size))
			changed := f.recording(hour(7), nil)
			f.put(changed, audio(60, size))
			erased := f.add(hour(7), size)
			f.add(hour(7), 0)
			f.add(hour(7), size)
			f.plan()
			f.must(f.builder(config()).BuildHour(f.ctx, task(7)))
			before := contents(t, f.served(7))

			f.must(f.store.Recordings().Remove(f.ctx, gone))
			f.must(f.store.Recordings().Remove(f.ctx, unsized))
			_, err := f.store.Recordings().Put(f.ctx, changed, audio(61, size), objstore.PutOptions{})
			f.must(err)
			f.erase(hour(7), erased)
			if v := f.view(7); v.State != catalog.StatePending || v.Archive != nil {
				t.Fatalf("the hour is %s and serves %v", v.State, v.Archive)
			}
			late := f.add(hour(7), 700)
			f.must(f.builder(config()).BuildHour(f.ctx, task(7)))

			after := contents(t, f.served(7))
			name := func(object string) string { return object[strings.LastIndexByte(object, '/'):] }
			maps.DeleteFunc(before, func(path, _ string) bool { return strings.HasSuffix(path, name(erased)) })
			maps.DeleteFunc(after, func(path, _ string) bool { return strings.HasSuffix(path, name(late)) })
			if len(before) != 5 || !maps.Equal(before, after) {
				t.Errorf("%d recordings became %d, or have other bytes", len(before), len(after))
			}
			if v := f.view(7); v.Revision != 2 || v.Archive.MissingCount != 0 || v.Archive.Files != 6 {
				t.Errorf("revision %d: %+v", v.Revision, v.Archive)
			}
		})
	}
}

// What an operator corrected is not taken from the former archive, and neither is anything of one
// that is damaged or gone.
func TestFormerArchiveIsNotBelieved(t *testing.T) {
	f := newFixture(t)
	corrected := f.add(hour(1), 1000)
	f.add(hour(1), 100)
	f.add(hour(2), 1000)
	gone := f.add(hour(2), 1000)
	f.add(hour(3), 1000)
	other := f.add(hour(3), 1000)
	f.plan()
	for n := 1; n <= 3; n++ {
		f.must(f.builder(config()).BuildHour(f.ctx, task(n)))
	}
	size, sum := int64(5), uint32(1)
	_, err := f.catalog.Correct(f.ctx, catalog.Correction{Tenant: tenant, ObjectKey: corrected, Reason: "r", Size: &size, CRC32: &sum})
	f.must(err)
	for _, object := range []string{corrected, gone, other} {
		f.must(f.store.Recordings().Remove(f.ctx, object))
	}
	f.must(f.store.Archives().Remove(f.ctx, f.view(2).Archive.ObjectKey))
	damaged := f.view(3).Archive
	_, err = f.store.Archives().Put(f.ctx, damaged.ObjectKey, bytes.Repeat([]byte("PK"), int(damaged.Size/2)), objstore.PutOptions{})
	f.must(err)
	_, err = f.catalog.DB().ExecContext(f.ctx, `UPDATE archives SET etag = '' WHERE object_key = $1`, damaged.ObjectKey)
	f.must(err)
	for n := 1; n <= 3; n++ {
		f.erase(hour(n), "")
		f.must(f.builder(config()).BuildHour(f.ctx, task(n)))
		if v := f.view(n); v.Archive == nil || v.Archive.Files != 1 || v.Archive.MissingCount != 1 {
			t.Errorf("hour %d: %+v", n, v.Archive)
		}
	}
}

// A former archive with one wrong byte anywhere never keeps its hour from being built, and no
// recording whose source is right is left out. One whose source is gone gets its right bytes or
// is missing.
func TestFormerArchiveWithOneWrongByte(t *testing.T) {
	f := newFixture(t)
	sum := crc32.ChecksumIEEE(audio(1, 60))
	f.put(f.recordingWithSum(hour(5), new(int64(60)), &sum), audio(1, 60))
	gone := f.add(hour(5), 60)
	f.plan()
	f.must(f.builder(config()).BuildHour(f.ctx, task(5)))
	key := f.view(5).Archive.ObjectKey
	want := contents(t, f.served(5))
	o, err := f.store.Archives().Get(f.ctx, key, objstore.GetOptions{})
	f.must(err)
	data, err := io.ReadAll(o.Body)
	f.must(errors.Join(err, o.Body.Close()))
	f.must(f.store.Recordings().Remove(f.ctx, gone))

	taken := 0
	check := func(what string, broken []byte) {
		f.must(f.store.Archives().Remove(f.ctx, key))
		etag, err := f.store.Archives().Put(f.ctx, key, broken, objstore.PutOptions{})
		f.must(err)
		for _, change := range []string{
			`UPDATE hours SET state = 'pending', archive = NULL, wanted = wanted + 1, counted = counted + 1, due_us = 0 WHERE hour = 5`,
			`UPDATE archives SET state = 'superseded' WHERE state = 'published'`,
			`UPDATE archives SET state = 'doomed', cause = 'broken', delete_after_us = 9000000000000000, etag = '` + etag + `' WHERE object_key = '` + key + `'`,
		} {
			_, err := f.catalog.DB().ExecContext(f.ctx, change)
			f.must(err)
		}
		f.must(f.builder(config()).BuildHour(f.ctx, task(5)))
		v := f.view(5)
		if v.State != catalog.StateAvailable || v.Archive.Files+v.Archive.MissingCount != 2 || v.Archive.Files == 0 {
			t.Fatalf("%s: the hour is %s: %+v", what, v.State, v.Archive)
		}
		for path, bytes := range contents(t, f.served(5)) {
			if bytes != want[path] {
				t.Fatalf("%s: %s has other bytes", what, path)
			}
		}
		taken += v.Archive.Files - 1
		if v.Archive.MissingCount == 1 {
			var missing string
			f.must(f.catalog.DB().QueryRowContext(f.ctx, `SELECT missing FROM archives WHERE object_key = $1`, v.Archive.ObjectKey).Scan(&missing))
			if !strings.Contains(missing, catalog.ReasonNotFound) {
				t.Fatalf("%s: %s is missing", what, missing)
			}
		}
	}
	for i := 0; i < len(data); i += 7 {
		broken := bytes.Clone(data)
		broken[i] ^= 1 << (i % 8)
		check(fmt.Sprint("byte ", i), broken)
	}
	if taken == 0 {
		t.Error("nothing was taken from it")
	}
	check("cut short", data[:len(data)-40])
}
