package dir

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxName    = 255 // bytes, of a file's name
	infoSuffix = "%info"
	tempFolder = "%tmp"
	emptyPart  = "%_"
	moreSuffix = "%+" // of a folder whose name goes on in the next name
	longest    = maxName - len(infoSuffix)
)

// encode gives the path of a key's file below its bucket. No two keys have the same path. No path
// has a name that the bucket uses itself, because in those "%" is not followed by two hexadecimal
// digits. "%" and control characters become "%" with two digits, and so do the dots of the parts
// "." and "..". A part that is too long for a name becomes several folders.
func encode(key string) string {
	var names []string
	for part := range strings.SplitSeq(key, "/") {
		name := encodePart(part)
		for len(name) > longest {
			at := cut(name)
			names = append(names, name[:at]+moreSuffix)
			name = name[at:]
		}
		names = append(names, name)
	}
	return strings.Join(names, "/")
}

func encodePart(part string) string {
	if part == "" {
		return emptyPart
	}
	dots := part == "." || part == ".."
	var b strings.Builder
	for i := range len(part) {
		if c := part[i]; c < ' ' || c == 0x7f || c == '%' || dots {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// cut says where a name that is too long is cut: between characters, and not inside a "%" code.
func cut(name string) int {
	at := longest
	for !utf8.RuneStart(name[at]) {
		at--
	}
	if percent := strings.LastIndexByte(name[:at], '%'); percent > at-len("%25") {
		at = percent
	}
	return at
}
