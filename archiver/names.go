package archiver

import (
	"cmp"
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
	maxExtension = 32  // bytes; a longer one is cut like the rest of the name
)

// SafeName turns s into a name that every common file system takes as one part of a path: at most
// 200 bytes of NFC, never empty, without control characters, separators, wildcards, trailing dots
// or spaces, and not reserved by Windows. A safe name is returned unchanged.
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
	return fitName(s, "")
}

// plainName reports whether s is safe, for names of ASCII letters, digits, "_", "-" and "." only.
// Most names are of this kind.
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

// reserved reports whether Windows takes s for a device. The extension, the case and spaces before
// the extension make no difference.
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

// fitName inserts suffix before the extension of s, and cuts the stem at a rune so that the result
// has at most maxNamePart bytes.
func fitName(s, suffix string) string {
	stem, ext := s, ""
	if i := strings.LastIndexByte(s, '.'); i > 0 && len(s)-i <= maxExtension {
		stem, ext = s[:i], s[i:]
	}
	if room := maxNamePart - len(suffix) - len(ext); len(stem) > room {
		for room > 0 && !utf8.RuneStart(stem[room]) {
			room--
		}
		// The cut stem may end in a dot or a space.
		stem = strings.TrimRight(stem[:room], ". ")
		stem = cmp.Or(stem, "_")
	}
	return stem + suffix + ext
}

// foldCase maps names that differ only in case to one string. It also takes the dotted and the
// dotless i for the same letter, as some file systems do.
func foldCase(s string) string {
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

// nameKey is a name within a folder.
type nameKey struct {
	folder int32
	name   string
}

// namer gives out names. No two names in a folder differ only in case.
type namer struct {
	taken   map[nameKey]int   // by folded name: the next number to try for this name
	folders map[nameKey]int32 // by parent folder and id, which is not folded
	paths   []string          // by folder number; 0 is the root
}

func newNamer(files int) *namer {
	n := &namer{
		taken:   make(map[nameKey]int, files),
		folders: map[nameKey]int32{},
		paths:   []string{""},
	}
	n.name(0, metadataName)
	n.name(0, sumsName)
	return n
}

// name returns a free safe name for raw in a folder, and takes it.
func (n *namer) name(folder int32, raw string) string {
	safe := SafeName(raw)
	first := nameKey{folder, foldCase(safe)}
	next, clash := n.taken[first]
	if !clash {
		n.taken[first] = 2
		return safe
	}
	for ; ; next++ {
		name := fitName(safe, " ("+strconv.Itoa(next)+")")
		key := nameKey{folder, foldCase(name)}
		if _, clash := n.taken[key]; !clash {
			n.taken[key] = 2
			n.taken[first] = next + 1
			return name
		}
	}
}

// folder returns the number of the folder for id within parent, and whether it is new.
func (n *namer) folder(parent int32, id string) (int32, bool) {
	if number, ok := n.folders[nameKey{parent, id}]; ok {
		return number, false
	}
	name := n.name(parent, id)
	if parent != 0 {
		name = n.paths[parent] + "/" + name
	}
	number := int32(len(n.paths))
	n.paths = append(n.paths, name)
	n.folders[nameKey{parent, id}] = number
	return number, true
}
