package dir

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// hostileKeys are keys that are no paths, beside those that they could be mixed up with.
func hostileKeys() []string {
	x := strings.Repeat("x", 250)
	return []string{
		"..", "../..", "../a", "a/..", ".", "./.", "a/./b", "a/../b", "/", "//", "/a", "a/", "a//b", "%", "%2E", "%2E%2E", "%_", "a/%_/b",
		"a\x00b", "\x01", "a\nb", "a\x7fb", "a%00b", "%tmp", "%tmp/lock", "%former", "b%info", "b", "b%2521", "b%21", "con", "a:b", `c\d`, " ", "a ",
		x, x + "y", x + "%+/y", x + "/y", strings.Repeat("x", 249) + "%2", strings.Repeat("ü", 512), strings.Repeat("%", 1024), strings.Repeat("\x00", 700),
		strings.Repeat("z/", 511) + "z", strings.Repeat("q", 1024), "日本語/ü", "...", "..hidden/.x",
	}
}

func TestHostileKeys(t *testing.T) {
	// Those that are folders of others are held in a bucket of their own.
	buckets := []*Bucket{open(t, t.TempDir()), open(t, t.TempDir())}
	bucketOf := func(key string) *Bucket {
		if slices.ContainsFunc(hostileKeys(), func(other string) bool { return strings.HasPrefix(other, key+"/") }) {
			return buckets[1]
		}
		return buckets[0]
	}
	for i, key := range hostileKeys() {
		put(t, bucketOf(key), key, strconv.Itoa(i))
	}
	for i, key := range hostileKeys() {
		b := bucketOf(key)
		wantContent(t, b, key, strconv.Itoa(i))
		if _, err := b.Put(t.Context(), key, nil, objstore.PutOptions{IfNoneMatch: true}); domain.KindOf(err) != domain.KindConflict {
			t.Errorf("%.40q again: %v", key, err)
		}
	}
	for _, key := range hostileKeys() {
		if err := bucketOf(key).Remove(t.Context(), key); err != nil {
			t.Errorf("remove %.40q: %v", key, err)
		}
	}
	for _, b := range buckets {
		if left := paths(t, b.cfg.Path); len(left) != 1 {
			t.Errorf("%v are left", left)
		}
	}
}

func TestReadableKeysStayReadable(t *testing.T) {
	for _, key := range []string{"acme/c-1/message_7 (copy).opus", "ümläut/日本語/é.webm", `a'b"c(d)[e]{f}!$*,;:@~^|.opus`, "..a/b..", ".hidden", strings.Repeat("x", 250)} {
		if got := encode(key); got != key {
			t.Errorf("%q is stored as %q", key, got)
		}
	}
	for key, want := range map[string]string{"50%.opus": "50%25.opus", "a//b": "a/%_/b", "..": "%2E%2E", strings.Repeat("x", 251): strings.Repeat("x", 250) + "%+/x"} {
		if got := encode(key); got != want {
			t.Errorf("%q is stored as %q, want %q", key, got, want)
		}
	}
}

// decode is encode's inverse, which shows that no two keys have the same path.
func decode(path string) string {
	path = strings.ReplaceAll(path, moreSuffix+"/", "")
	var parts []string
	for name := range strings.SplitSeq(path, "/") {
		if name == emptyPart {
			name = ""
		}
		var b strings.Builder
		for i := 0; i < len(name); i++ {
			if name[i] != '%' {
				b.WriteByte(name[i])
				continue
			}
			c, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
			if err != nil {
				return "not a path of encode's: " + path
			}
			b.WriteByte(byte(c))
			i += 2
		}
		parts = append(parts, b.String())
	}
	return strings.Join(parts, "/")
}

func FuzzEncode(f *testing.F) {
	for _, key := range hostileKeys() {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if objstore.CheckKey(key) != nil {
			return
		}
		path := encode(key)
		if got := decode(path); got != key {
			t.Errorf("%q is stored as %q, which is %q", key, path, got)
		}
		for name := range strings.SplitSeq(path, "/") {
			if name == "" || name == "." || name == ".." || len(name) > maxName || strings.HasSuffix(name, infoSuffix) || name == tempFolder {
				t.Errorf("%q is stored as %q", key, path)
			}
		}
		if last := path[strings.LastIndexByte(path, '/')+1:]; len(last)+len(infoSuffix) > maxName {
			t.Errorf("%q has no room for a side file", path)
		}
	})
}
