package e2e_test

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

// image is the image that deploy/Dockerfile makes.
type image struct {
	built, program string // paths of the program in the build and in the image
	user, group    int
	entrypoint     []string
	arguments      []string // the default ones
}

// dockerfile reads the last stage of deploy/Dockerfile.
func dockerfile(t *testing.T) image {
	t.Helper()
	text, err := os.ReadFile("../../deploy/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	last := text[bytes.LastIndex(text, []byte("\nFROM ")):]
	find := func(pattern string) []string {
		t.Helper()
		found := regexp.MustCompile(`(?m)^`+pattern+`$`).FindAllStringSubmatch(string(last), -1)
		if len(found) != 1 {
			t.Fatalf("the image has %d lines like %s", len(found), pattern)
		}
		return found[0][1:]
	}
	var i image
	copied, user := find(`COPY --from=build (\S+) (\S+)`), find(`USER (\d+):(\d+)`)
	i.built, i.program = copied[0], copied[1]
	for n, id := range []*int{&i.user, &i.group} {
		if *id, err = strconv.Atoi(user[n]); err != nil {
			t.Fatal(err)
		}
	}
	for list, pattern := range map[*[]string]string{&i.entrypoint: `ENTRYPOINT (\[.+\])`, &i.arguments: `CMD (\[.+\])`} {
		if err := json.Unmarshal([]byte(find(pattern)[0]), list); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// TestImageNeedsNothing: the program runs in an image without any other file, and has no paths of
// the machine that built it.
func TestImageNeedsNothing(t *testing.T) {
	program := testenv.Program(t)
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a %s: it is linked against libraries", p.Type)
		}
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" && s.Value != "0" || strings.HasPrefix(s.Key, "vcs") {
			t.Errorf("it was built with %s=%s", s.Key, s.Value)
		}
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(strings.Fields(string(out)), sources, filepath.Dir(program)) {
		if bytes.Contains(content, []byte(dir+"/")) {
			t.Errorf("it names %s", dir)
		}
	}
}

// TestImageIsReproducible: a build in another directory, from the files that the image's build
// gets, has the same bytes.
func TestImageIsReproducible(t *testing.T) {
	ignored := dockerignore(t)
	for _, name := range []string{".git/config", "bin/minio", "callvault", "data/catalog.db", "data/master.key", "deploy/secrets/master_key",
		"coverage.html", "cpu.prof", "internal/e2e/mem.out", "api/api.test", ".env", ".env.local"} {
		if !ignored(name) {
			t.Errorf("a build of the image is given %s", name)
		}
	}
	dir := t.TempDir()
	err := filepath.WalkDir("../..", func(from string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel("../..", from)
		switch {
		case err != nil:
			return err
		case ignored(name) && entry.IsDir():
			return fs.SkipDir
		case ignored(name):
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o700)
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	var programs [2][]byte
	for i, program := range []string{testenv.Program(t), testenv.Build(t, dir)} {
		if programs[i], err = os.ReadFile(program); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(programs[0], programs[1]) {
		t.Errorf("the programs differ: %d and %d bytes", len(programs[0]), len(programs[1]))
	}
}

// dockerignore says whether .dockerignore excludes a path. It supports only the patterns that are
// in use.
func dockerignore(t *testing.T) func(name string) bool {
	t.Helper()
	text, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	var top, anywhere []string
	for pattern := range strings.FieldsSeq(string(text)) {
		name, deep := strings.CutPrefix(pattern, "**/")
		if _, err := path.Match(name, ""); err != nil || strings.HasPrefix(name, "!") || strings.Contains(name, "**") || deep && strings.Contains(name, "/") {
			t.Fatalf("this test does not understand %s in .dockerignore", pattern)
		}
		if deep {
			anywhere = append(anywhere, name)
		} else {
			top = append(top, name)
		}
	}
	fits := func(patterns []string, name string) bool {
		for _, p := range patterns {
			if ok, _ := path.Match(p, name); ok {
				return true
			}
		}
		return false
	}
	return func(name string) bool {
		for ; name != "."; name = path.Dir(name) { // a folder around it may be excluded
			if fits(top, name) || fits(anywhere, path.Base(name)) {
				return true
			}
		}
		return false
	}
}
