package archiver

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// packages is the Debian package of each program that the tests run.
var packages = map[string]string{
	"unzip":     "unzip",
	"7z":        "p7zip-full",
	"bsdtar":    "libarchive-tools",
	"java":      "default-jre",
	"python3":   "python3",
	"sha256sum": "coreutils",
}

// program prepares a command; a missing program fails the test.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install the Debian package %s", name, packages[name])
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%.2000s\n%.2000s", strings.Join(cmd.Args, " "), err, stderr.String(), stdout.String())
	}
	return stdout.String()
}

// piped gives a file to a command through a pipe, in which the command can't seek.
func piped(t *testing.T, path string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cmd.Stdin = &pipeOnly{f} // no *os.File, so exec makes a pipe
	return cmd
}

type pipeOnly struct{ f *os.File }

func (p *pipeOnly) Read(b []byte) (int, error) { return p.f.Read(b) }

// fileSink writes the ZIP to a file, with holes in place of parts that are all zeros.
type fileSink struct {
	f        *os.File
	partSize int64
}

func newFileSink(t *testing.T) *fileSink {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "hour.zip"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &fileSink{f: f}
}

func (s *fileSink) Begin(_ context.Context, size, partSize int64, _ int) error {
	s.partSize = partSize
	return s.f.Truncate(size)
}

func (s *fileSink) Part(_ context.Context, number int, data []byte, _ uint32) error {
	if len(bytes.Trim(data[:min(len(data), 4096)], "\x00")) == 0 && bytes.Equal(data[:len(data)-1], data[1:]) {
		return nil
	}
	_, err := s.f.WriteAt(data, int64(number-1)*s.partSize)
	return err
}

// listing is what testdata/read_zip.py and ReadZip.java print for a ZIP.
func listing(t *testing.T, b []byte) string {
	t.Helper()
	names, files := unzip(t, b)
	var sb strings.Builder
	for _, n := range names {
		d := newDigest()
		if _, err := d.Write(files[n]); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sb, "%08x %d %s\n", d.crc, d.size, n)
	}
	return sb.String()
}

func TestRealPrograms(t *testing.T) {
	for name, fill := range map[string]func(*store) []Entry{
		"normal hour":  func(s *store) []Entry { return normalHour(s, 120, 4000) },
		"one file":     func(s *store) []Entry { return normalHour(s, 1, 4000) },
		"hard names":   hardNames,
		"70,000 files": func(s *store) []Entry { return normalHour(s, 70_000, 20) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			entries := fill(s)
			out := newFileSink(t)
			r, err := Build(t.Context(), Config{}, testHour, entries, s.open, out)
			if err != nil || r.Files != len(entries) {
				t.Fatalf("%d files: %v", r.Files, err)
			}
			path := out.f.Name()
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := listing(t, b)
			if got := output(t, program(t, "python3", "testdata/read_zip.py", path)); got != want {
				t.Errorf("python3 reads\n%.2000s\nwant\n%.2000s", got, want)
			}
			if got := output(t, piped(t, path, program(t, "java", "testdata/ReadZip.java"))); got != want {
				t.Errorf("java reads\n%.2000s\nwant\n%.2000s", got, want)
			}
			output(t, program(t, "unzip", "-tqq", path))
			output(t, program(t, "7z", "t", "-bd", path))
			unpackAndCheck(t, path, r.Files+2)
		})
	}
}

// unpackAndCheck unpacks the ZIP from a pipe into a folder, and checks SHA256SUMS there.
func unpackAndCheck(t *testing.T, path string, files int) {
	t.Helper()
	dir := t.TempDir()
	output(t, piped(t, path, program(t, "bsdtar", "-xf", "-", "-C", dir)))
	sums := program(t, "sha256sum", "--strict", "--quiet", "-c", sumsName)
	sums.Dir = dir
	output(t, sums)
	count := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			count++
		}
		return err
	})
	if err != nil || count != files {
		t.Errorf("%d files unpacked of %d: %v", count, files, err)
	}
	info, err := os.Stat(filepath.Join(dir, metadataName))
	if err != nil {
		t.Fatal(err)
	}
	if want := testHour.GeneratedAt.Truncate(time.Second); !info.ModTime().Equal(want) {
		t.Errorf("metadata.json is of %v, want %v", info.ModTime(), want)
	}
}

// hardNames are keys and ids that file systems or programs may not take.
func hardNames(s *store) []Entry {
	keys := []string{
		"k/مكالمة ١.opus", "k/通話録音.opus", "k/🎧👩‍💻.opus", "k/e\u0301.opus", "k/\u00e9.opus",
		"k/a.opus", "l/a.opus", "m/A.opus", "k/a (2).opus",
		"../../etc/passwd", `C:\x`, "k/CON.opus", "k/NUL", "k/com¹.txt", "k/..", "k/", "/",
		longKey(300), longKey(301), "k/" + strings.Repeat("話", 100) + ".opus",
		"k/new\nline.opus", "k/tab\tbell\a.opus", "k/back\\slash", "k/\x7f\u0085.opus", "k/trailing. .",
		"k/-rf.opus", "k/ lead.opus", "k/*?.opus", "k/$(id).opus", "k/'\".opus", "k/%s%n.opus", "k/metadata.json", "k/SHA256SUMS",
	}
	ids := []string{"conv-1", "CONV-1", "metadata.json", "..", "مرحبا", "会話/1", "会話_1", "AUX", "-x", "", strings.Repeat("c", 300)}
	var entries []Entry
	for i, key := range keys {
		entries = append(entries, s.add("conv", "session", int64(i), key, 10+i))
	}
	for i, id := range ids {
		entries = append(entries, s.add(id, ids[len(ids)-1-i], int64(100+i), fmt.Sprintf("%s/%d.opus", id, i), i))
	}
	return entries
}
