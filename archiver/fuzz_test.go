package archiver

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzBuild reads the ZIPs that Build makes for any ids, keys and sizes.
func FuzzBuild(f *testing.F) {
	f.Add("conv\nconv\nCONV", "s\n../..\nCON", "a/b.opus\n../../etc/passwd\nC:\\x", []byte{3, 0, 200}, uint16(64), int64(1765548225))
	f.Add("metadata.json", "SHA256SUMS", "metadata.json", []byte{1}, uint16(16), int64(0))
	f.Add("\xff\n\xfe\n", "\n\n", "e\u0301\n\u00e9\nE\u0301", []byte{9, 9, 9}, uint16(1000), int64(-1))
	f.Fuzz(func(t *testing.T, conversations, sessions, keys string, sizes []byte, partSize uint16, at int64) {
		s := newStore()
		entries := fuzzEntries(s, conversations, sessions, keys, sizes)
		for i := range entries {
			entries[i].Timestamp = time.Unix(at%(1<<40), 0)
		}
		_, zip := buildZIP(t, Config{PartSize: int64(partSize)}, entries, s.open)
		names, files := unzip(t, zip)
		if len(names) != len(entries)+2 || !json.Valid(files[metadataName]) {
			t.Fatalf("%d entries of %d: %q\n%s", len(names)-2, len(entries), names, files[metadataName])
		}
		folded := map[string]bool{}
		for _, n := range names {
			for part := range strings.SplitSeq(n, "/") {
				checkSafe(t, part)
			}
			if folded[strings.ToLower(strings.ToUpper(n))] {
				t.Errorf("%q clashes", n)
			}
			folded[strings.ToLower(strings.ToUpper(n))] = true
		}
		checkMetadata(t, files[metadataName], files)
		checkContents(t, s, entries, files)
	})
}

// fuzzEntries makes an entry for each key, with ids and sizes in rotation.
func fuzzEntries(s *store, conversations, sessions, keys string, sizes []byte) []Entry {
	cs, ss := strings.Split(conversations, "\n"), strings.Split(sessions, "\n")
	var entries []Entry
	seen := map[string]bool{}
	for i, key := range strings.Split(keys, "\n") {
		if seen[key] {
			continue
		}
		seen[key] = true
		size := 0
		if len(sizes) > 0 {
			size = int(sizes[i%len(sizes)])
		}
		entries = append(entries, s.add(cs[i%len(cs)], ss[i%len(ss)], int64(i), key, size))
	}
	return entries
}

// checkMetadata compares the files that metadata.json lists with the entries of the ZIP.
func checkMetadata(t *testing.T, b []byte, files map[string][]byte) {
	t.Helper()
	var meta struct {
		Sessions []struct {
			Files []struct{ FileName string }
		}
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		t.Fatal(err)
	}
	left := map[string]int{}
	for name := range files {
		left[lastPart(name)]++
	}
	listed := 0
	for _, s := range meta.Sessions {
		for _, f := range s.Files {
			listed++
			left[f.FileName]--
		}
	}
	for name, n := range left {
		if n < 0 {
			t.Errorf("%q is listed %d times too often", name, -n)
		}
	}
	if listed != len(files)-2 {
		t.Errorf("%d files listed, %d in the ZIP", listed, len(files)-2)
	}
}

// checkContents looks for every object's bytes in the ZIP.
func checkContents(t *testing.T, s *store, entries []Entry, files map[string][]byte) {
	t.Helper()
	for _, e := range entries {
		found := false
		for name, data := range files {
			found = found || strings.Contains(name, "/") && bytes.Equal(data, s.objects[e.Key].data)
		}
		if !found {
			t.Errorf("no entry has the bytes of %q", e.Key)
		}
	}
}
