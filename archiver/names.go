package archiver

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	metadataName = "metadata.json"
	sumsName     = "SHA256SUMS"

	maxNamePart  = 200 // bytes, with room for a folder above on every file system
	maxExtension = 32  // bytes; what is longer is no extension worth keeping
)

// SafeName turns s into a name that every common file system can hold as one
// part of a path: at most 200 bytes of NFC, never empty, without control
// characters, separators, wildcards, trailing dots or spaces, and not one of
// the names that Windows reserves. A name that is safe comes back unchanged.
func SafeName(s string) string {
	if plainName(s) {
		return s
	}
	s = norm.NFC.String(strings.ToValidUTF8(s, "_"))
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`<>:"/\|?*`, r) {
			return '_'
		}
		return r
	}, s)
	s = strings.TrimRight(s, ". ")
	if s == "" {
		return "_"
	}
	if reserved(s) {
		s = "_" + s
	}
	return fit(s, "")
}

// plainName reports whether s is one of the many names that need no change.
func plainName(s string) bool {
	if s == "" || len(s) > maxNamePart || s[len(s)-1] == '.' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return !reserved(s)
}

// reserved reports whether Windows takes s for a device, whatever the
// extension, the case, or spaces before the extension.
func reserved(s string) bool {
	stem, _, _ := strings.Cut(s, ".")
	stem = strings.TrimRight(stem, " ")
	if len(stem) < 3 || len(stem) > 7 {
		return false
	}
	switch stem = strings.ToUpper(stem); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	device, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		device, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && utf8.RuneCountInString(device) == 1 && strings.Contains("0123456789¹²³", device)
}

// fit inserts suffix before the extension of s and cuts the stem, at a rune,
// so that the whole has at most maxNamePart bytes.
func fit(s, suffix string) string {
	stem, ext := s, ""
	if i := strings.LastIndexByte(s, '.'); i > 0 && len(s)-i <= maxExtension {
		stem, ext = s[:i], s[i:]
	}
	if room := maxNamePart - len(suffix) - len(ext); len(stem) > room {
		for room > 0 && !utf8.RuneStart(stem[room]) {
			room--
		}
		// A cut may bare a dot or a space that was inside.
		stem = strings.TrimRight(stem[:room], ". ")
		if stem == "" {
			stem = "_"
		}
	}
	return stem + suffix + ext
}

// fold maps names that differ only in case to one string. It also takes the
// dotted and dotless i for one, as some file systems do.
func fold(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && !('A' <= s[i] && s[i] <= 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return unicode.ToLower(unicode.ToUpper(least))
	}, s))
}

// place is a name, folded, within a folder.
type place struct {
	folder int32
	name   string
}

// namer hands out names so that no two in a folder are equal, case aside.
type namer struct {
	taken   map[place]int   // next number to try for this name
	folders map[place]int32 // by the folder above and the id, not folded
	paths   []string        // by folder number; 0 is the root
}

func newNamer(files int) *namer {
	n := &namer{
		taken:   make(map[place]int, files),
		folders: map[place]int32{},
		paths:   []string{""},
	}
	n.name(0, metadataName)
	n.name(0, sumsName)
	return n
}

// name returns a free safe name for raw in a folder, and takes it.
func (n *namer) name(folder int32, raw string) string {
	safe := SafeName(raw)
	first := place{folder, fold(safe)}
	next, clash := n.taken[first]
	if !clash {
		n.taken[first] = 2
		return safe
	}
	for ; ; next++ {
		name := fit(safe, " ("+strconv.Itoa(next)+")")
		spot := place{folder, fold(name)}
		if _, clash := n.taken[spot]; !clash {
			n.taken[spot] = 2
			n.taken[first] = next + 1
			return name
		}
	}
}

// folder returns the number of the folder for id within parent, and whether it
// is new.
func (n *namer) folder(parent int32, id string) (int32, bool) {
	if number, ok := n.folders[place{parent, id}]; ok {
		return number, false
	}
	name := n.name(parent, id)
	if parent != 0 {
		name = n.paths[parent] + "/" + name
	}
	number := int32(len(n.paths))
	n.paths = append(n.paths, name)
	n.folders[place{parent, id}] = number
	return number, true
}
