package archiver

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestSafeName(t *testing.T) {
	tests := []struct{ in, want string }{
		{"message_789_agent_tts.opus", "message_789_agent_tts.opus"},
		{"", "_"},
		{".", "_"},
		{"..", "_"},
		{"...", "_"},
		{" . ", "_"},
		{".opus", ".opus"},
		{"a. . .", "a"},
		{" leading", " leading"},
		{`C:\x`, "C__x"},
		{`<>:"/\|?*`, "_________"},
		{"a\nb\rc\x00d\x7fe\u0085f", "a_b_c_d_e_f"},
		{"\xff\xfe.opus", "_.opus"},
		{"e\u0301.opus", "\u00e9.opus"},
		{"<\u0338.opus", "\u226e.opus"},
		{"مكالمة.opus", "مكالمة.opus"},
		{"通話🎧.opus", "通話🎧.opus"},
		{"CON", "_CON"},
		{"con.opus", "_con.opus"},
		{"NUL.tar.gz", "_NUL.tar.gz"},
		{"COM1", "_COM1"},
		{"com¹.opus", "_com¹.opus"},
		{"LPT³", "_LPT³"},
		{"AUX .txt", "_AUX .txt"},
		{"conin$", "_conin$"},
		{"CON.", "_CON"},
		{"COM10", "COM10"},
		{"CONSOLE", "CONSOLE"},
		{"COMB.opus", "COMB.opus"},
		{strings.Repeat("x", 295) + ".opus", strings.Repeat("x", 195) + ".opus"},
		{strings.Repeat("話", 100) + ".opus", strings.Repeat("話", 65) + ".opus"},
		{strings.Repeat("x", 199) + ".y", strings.Repeat("x", 198) + ".y"},
		{strings.Repeat("x", 199) + " y", strings.Repeat("x", 199)},
		{"a." + strings.Repeat("x", 300), "a." + strings.Repeat("x", 198)},
	}
	for _, tt := range tests {
		if got := SafeName(tt.in); got != tt.want {
			t.Errorf("SafeName(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"", "..", "CON.opus", "a\\b", "e\u0301", "\xff", "COM¹", longKey(300), "İ.opus", "ﬃ", " .x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := SafeName(in)
		checkSafe(t, got)
		if again := SafeName(got); again != got {
			t.Errorf("SafeName(%q) = %q, and of that %q", in, got, again)
		}
		numbered := fitName(got, " (12345)")
		checkSafe(t, numbered)
		if !strings.Contains(numbered, " (12345)") {
			t.Errorf("numbered %q lost its number", numbered)
		}
	})
}

func checkSafe(t *testing.T, name string) {
	t.Helper()
	switch {
	case name == "" || name == "." || name == "..":
		t.Errorf("%q is no name", name)
	case len(name) > maxNamePart:
		t.Errorf("%q has %d bytes", name, len(name))
	case !utf8.ValidString(name) || !norm.NFC.IsNormalString(name):
		t.Errorf("%q is not NFC", name)
	case strings.ContainsAny(name, `<>:"/\|?*`) || strings.ContainsFunc(name, unicode.IsControl):
		t.Errorf("%q has a forbidden character", name)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		t.Errorf("%q has a bad end", name)
	case reserved(name):
		t.Errorf("%q is reserved", name)
	}
}

func TestNamesNeverClash(t *testing.T) {
	raw := []string{
		"a.opus", "A.opus", "a.OPUS", "a (2).opus", "A (2).opus", "a.opus", "K.opus", "k.opus", "K.opus",
		"ſ.opus", "s.opus", "Σ", "ς", "σ", "é", "e\u0301", "É", longKey(300), longKey(301), longKey(302),
		"CON", "_con", "", ".", "_", "x.", "x", "X ",
	}
	n := newNamer(0)
	folder, _ := n.folder(0, "conv")
	seen := map[string]string{}
	for _, s := range raw {
		name := n.name(folder, s[strings.LastIndexByte(s, '/')+1:])
		checkSafe(t, name)
		key := strings.ToLower(strings.ToUpper(name))
		if other, clash := seen[key]; clash {
			t.Errorf("%q got %q, which %q has", s, name, other)
		}
		seen[key] = s
	}
}

func TestFolderNames(t *testing.T) {
	n := newNamer(0)
	for _, tt := range []struct{ id, want string }{
		{"Metadata.JSON", "Metadata (2).JSON"},
		{"sha256sums", "sha256sums (2)"},
		{"conv/1", "conv_1"},
		{"conv_1", "conv_1 (2)"},
		{"CONV_1", "CONV_1 (3)"},
		{"conv/1", "conv_1"},
	} {
		number, _ := n.folder(0, tt.id)
		if got := n.paths[number]; got != tt.want {
			t.Errorf("folder %q = %q, want %q", tt.id, got, tt.want)
		}
	}
}

// Thousands of equal names do not take quadratic time.
func TestManyEqualNames(t *testing.T) {
	n := newNamer(0)
	last := ""
	for range 200_000 {
		last = n.name(1, "a.opus")
	}
	if last != "a (200000).opus" {
		t.Errorf("last name %q", last)
	}
}
