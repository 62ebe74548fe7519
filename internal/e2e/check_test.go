package e2e_test

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/client/verify"
	"github.com/callvault/callvault/internal/domain"
)

// archived is one file of a ZIP, or one that its metadata lists as missing.
type archived struct {
	hour    domain.HourKey
	message int64
	size    int64
	sum     [32]byte
	missing string
}

// metadata is metadata.json.
type metadata struct {
	Sessions []struct {
		Conversation string `json:"externalConversationId"`
		Session      string `json:"sessionId"`
		Files        []struct {
			Name    string `json:"fileName"`
			Key     string `json:"originalPath"`
			Message int64  `json:"messageId"`
		} `json:"files"`
	} `json:"sessions"`
	Missing []struct {
		Key     string `json:"originalPath"`
		Message int64  `json:"messageId"`
		Reason  string `json:"reason"`
	} `json:"missingFiles"`
}

// check downloads every archive of these days as the tenant would and compares it with what was
// registered: each recording is in exactly one ZIP of its tenant and hour, byte for byte, and
// nothing else is.
func (f *fixture) check(days ...day) {
	f.t.Helper()
	for _, problem := range f.problems(days...) {
		f.t.Error(problem)
	}
}

// problems returns what check reports.
func (f *fixture) problems(days ...day) (found []string) {
	f.t.Helper()
	for _, d := range days {
		held, more := f.fetch(d)
		found = append(found, more...)
		found = append(found, compare(held, of(f.truth.snapshot(), d))...)
	}
	return found
}

// of returns the recordings of one day.
func of(all map[string]recording, d day) map[string]recording {
	want := map[string]recording{}
	for key, r := range all {
		if r.Tenant == d.tenant && domain.DayOf(r.At) == d.day {
			want[key] = r
		}
	}
	return want
}

// compare compares the archives' files with the registered recordings.
func compare(held map[string][]archived, want map[string]recording) (found []string) {
	for key, r := range want {
		files := held[key]
		if len(files) != 1 {
			found = append(found, fmt.Sprintf("%s (%s) is in the archives %d times", key, r.hour(), len(files)))
			continue
		}
		switch f := files[0]; {
		case f.hour != r.hour():
			found = append(found, fmt.Sprintf("%s is in the archive of %s, not of %s", key, f.hour, r.hour()))
		case f.missing != r.missing:
			found = append(found, fmt.Sprintf("%s (%s) is missing for the reason %q, not %q", key, r.hour(), f.missing, r.missing))
		case f.message != r.Message:
			found = append(found, fmt.Sprintf("%s has message %d, not %d", key, f.message, r.Message))
		case r.missing == "" && (f.sum != r.sum || f.size != r.Size):
			found = append(found, fmt.Sprintf("%s (%s) has other bytes than were recorded", key, r.hour()))
		}
	}
	for key := range held {
		if _, registered := want[key]; !registered {
			found = append(found, key+" is archived and was never registered")
		}
	}
	return found
}

// fetch downloads a day and returns its archives' files, by object key.
func (f *fixture) fetch(d day) (held map[string][]archived, found []string) {
	f.t.Helper()
	status, answer := f.askDay(d.tenant, d.day)
	if status != 200 || len(answer.Links) != 24 {
		return nil, []string{fmt.Sprintf("%s %s answers %d with %d links", d.tenant, d.day, status, len(answer.Links))}
	}
	held, files := map[string][]archived{}, 0
	for hour, l := range answer.Links {
		if l.Hour != fmt.Sprintf("%02d", hour) {
			found = append(found, fmt.Sprintf("link %d is of hour %s", hour, l.Hour))
		}
		if l.Status != "available" {
			continue
		}
		path, err := f.download(*l.URL, fmt.Sprintf("%s_%s_%s_%d.zip", d.tenant, d.day, l.Hour, l.Revision))
		if err != nil {
			found = append(found, fmt.Sprintf("download %s %s %s: %v", d.tenant, d.day, l.Hour, err))
			continue
		}
		more, err := read(f.t.Context(), path, domain.HourKey{Tenant: d.tenant, Day: d.day, Hour: hour}, l, held)
		if err != nil {
			more = append(more, err.Error())
		}
		found = append(found, more...)
		files += l.Files
	}
	if files != answer.TotalFiles {
		found = append(found, fmt.Sprintf("%s %s names %d files in all and its links %d", d.tenant, d.day, answer.TotalFiles, files))
	}
	return held, found
}

// read verifies one ZIP and adds its files to held.
func read(ctx context.Context, path string, k domain.HourKey, l link, held map[string][]archived) (found []string, err error) {
	report, err := verify.File(ctx, path)
	if err != nil {
		return nil, err
	}
	for _, p := range report.Problems {
		found = append(found, k.String()+": "+p.String())
	}
	if report.UTCDay != string(k.Day) || report.Hour != k.HH() || report.Files != l.Files || report.Size != l.Size ||
		l.Manifest == nil || report.ManifestSHA256 != *l.Manifest || report.MissingCount != l.Missing {
		found = append(found, fmt.Sprintf("%s: the link does not describe its archive", k))
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return found, err
	}
	defer z.Close()
	entries := map[string][]byte{}
	for _, f := range z.File {
		body, err := content(f)
		if err != nil {
			return found, err
		}
		entries[f.Name] = body
	}
	var m metadata
	if err := json.Unmarshal(entries["metadata.json"], &m); err != nil {
		return found, err
	}
	found = append(found, sums(k, entries)...)
	for _, s := range m.Sessions {
		for _, f := range s.Files {
			name := s.Conversation + "/" + s.Session + "/" + f.Name
			body, there := entries[name]
			if !there {
				found = append(found, fmt.Sprintf("%s: metadata.json lists %s, which is not in the ZIP", k, name))
				continue
			}
			held[f.Key] = append(held[f.Key], archived{hour: k, message: f.Message, size: int64(len(body)), sum: sha256.Sum256(body)})
			delete(entries, name)
		}
	}
	for _, f := range m.Missing {
		held[f.Key] = append(held[f.Key], archived{hour: k, message: f.Message, missing: f.Reason})
	}
	if len(entries) != 2 { // metadata.json and SHA256SUMS
		found = append(found, fmt.Sprintf("%s: %d entries are in no list", k, len(entries)-2))
	}
	return found, nil
}

// sums compares SHA256SUMS with the entries, independently of the verifier.
func sums(k domain.HourKey, entries map[string][]byte) (found []string) {
	lines := strings.Split(strings.TrimSuffix(string(entries["SHA256SUMS"]), "\n"), "\n")
	if len(lines) != len(entries)-1 {
		found = append(found, fmt.Sprintf("%s: SHA256SUMS has %d lines for %d entries", k, len(lines), len(entries)))
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		got := sha256.Sum256(entries[name])
		if hex.EncodeToString(got[:]) != sum {
			found = append(found, fmt.Sprintf("%s: SHA256SUMS is wrong about %s", k, name))
		}
	}
	return found
}

func content(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// clean waits until the sweeps are done, and checks that no upload, object or claim without an
// owner is left. A worker and a scheduler must run. It makes the second deletion, which removes
// what a slow writer stored after the first, due at once.
func (f *fixture) clean() {
	f.t.Helper()
	eventually(f.t, "nothing is left of builds that ended", func(ctx context.Context) string {
		if _, err := f.db.ExecContext(ctx, `UPDATE archives SET delete_after_us = (SELECT now_us FROM catalog_clock)
			WHERE state = 'doomed' AND deletions = 1 AND delete_after_us > (SELECT now_us FROM catalog_clock)`); err != nil {
			return err.Error()
		}
		for what, query := range map[string]string{
			"hours are claimed":             `SELECT count(*) FROM hours WHERE token IS NOT NULL`,
			"archives are being written":    `SELECT count(*) FROM archives WHERE state = 'writing'`,
			"doomed archives wait":          `SELECT count(*) FROM archives WHERE state = 'doomed' AND delete_after_us <= (SELECT now_us FROM catalog_clock)`,
			"served archives are not known": `SELECT count(*) FROM hours h WHERE h.state = 'available' AND NOT EXISTS (SELECT 1 FROM archives a WHERE a.object_key = h.archive AND a.state = 'published')`,
		} {
			var n int
			if err := f.db.QueryRowContext(ctx, query).Scan(&n); err != nil {
				return err.Error()
			}
			if n > 0 {
				return fmt.Sprintf("%d %s", n, what)
			}
		}
		return ""
	})
	for _, problem := range f.leftovers() {
		f.t.Error(problem)
	}
}

// leftovers compares the archives bucket with the catalog.
func (f *fixture) leftovers() (found []string) {
	f.t.Helper()
	rows := f.archiveRows()
	stored := f.objects()
	for key := range stored {
		if state, known := rows[key]; !known || state == "doomed" || state == "writing" {
			found = append(found, fmt.Sprintf("the object %s is left; its archive is %q", key, state))
		}
	}
	for key, state := range rows {
		if (state == "published" || state == "superseded") && !stored[key] {
			found = append(found, fmt.Sprintf("the %s archive %s has no object", state, key))
		}
		if f.s3 == nil {
			continue
		}
		for upload := range f.s3.ListIncompleteUploads(f.t.Context(), f.env["CALLVAULT_ARCHIVES_BUCKET"], key, true) {
			f.must(upload.Err)
			found = append(found, fmt.Sprintf("the upload %s is left", upload.Key))
		}
	}
	return found
}

// archiveRows returns every archive's state. It is "doomed, waits" for a doomed archive that was
// not deleted yet, whose object may exist.
func (f *fixture) archiveRows() map[string]string {
	f.t.Helper()
	list, err := f.db.QueryContext(f.t.Context(), `SELECT object_key, CASE WHEN state = 'doomed' AND deletions = 0 THEN 'doomed, waits' ELSE state END FROM archives`)
	f.must(err)
	defer list.Close()
	rows := map[string]string{}
	for list.Next() {
		var key, state string
		f.must(list.Scan(&key, &state))
		rows[key] = state
	}
	f.must(list.Err())
	return rows
}

// besideArchives says that a key is the installation's marker, or of the log.
func besideArchives(key string) bool {
	return key == "callvault/installation" || strings.HasPrefix(key, "callvault/log/")
}

// objects lists the archives in their bucket.
func (f *fixture) objects() map[string]bool {
	f.t.Helper()
	stored := map[string]bool{}
	if f.s3 == nil {
		f.must(f.walk(stored))
		return stored
	}
	for o := range f.s3.ListObjects(f.t.Context(), f.env["CALLVAULT_ARCHIVES_BUCKET"], minio.ListObjectsOptions{Recursive: true}) {
		f.must(o.Err)
		if !besideArchives(o.Key) {
			stored[o.Key] = true
		}
	}
	return stored
}

// walk adds the keys of the archives in a standalone's directory. What is unfinished is one, too.
func (f *fixture) walk(stored map[string]bool) error {
	bucket := filepath.Join(f.env["CALLVAULT_DATA"], "objects", f.env["CALLVAULT_ARCHIVES_BUCKET"])
	return filepath.WalkDir(bucket, func(path string, d fs.DirEntry, err error) error {
		key := strings.TrimPrefix(path, bucket+"/")
		if err == nil && !d.IsDir() && !strings.HasSuffix(key, "%info") && !besideArchives(key) {
			stored[key] = true
		}
		return err
	})
}

// revisions returns the revisions of a day's served hours.
func (f *fixture) revisions(d day) (list []int64) {
	f.t.Helper()
	v, err := f.cat.Day(f.t.Context(), d.tenant, d.day)
	f.must(err)
	for _, h := range v.Hours {
		if h.Archive != nil {
			list = append(list, h.Revision)
		}
	}
	return slices.Clip(list)
}

// long says whether the test runs with long outages.
func long() bool { return os.Getenv("CALLVAULT_E2E_LONG") == "1" }
