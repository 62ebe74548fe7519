package verify

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/zipformat"
)

const (
	metadataName = "metadata.json"
	sumsName     = "SHA256SUMS"
	maxNamePart  = 200 // bytes
)

// checkName checks that a name is safe, that it clashes with no other one, and that the entry is in
// the folders of an hour's archive. It adds the entry to the index.
func (v *verifier) checkName(h *header, at uint32) {
	if fault := nameFault(h.name); fault != "" {
		v.problem(h.name, "The name %s.", fault)
	} else if utf8.RuneCount(h.name) < len(h.name) && h.flags&zipformat.UTF8Flag == 0 {
		v.problem(h.name, "The name is not marked as UTF-8.")
	}
	if !v.index.add(h, at) {
		v.problem(h.name, "The name stands in the ZIP twice.")
		return
	}
	if !v.index.addFolded(foldName(h.name)) {
		v.problem(h.name, "The name differs from another one only in case.")
	}
	if string(h.name) == metadataName || string(h.name) == sumsName {
		return
	}
	v.report.Files++
	if bytes.Count(h.name, []byte("/")) != 2 {
		v.problem(h.name, "The entry is not in a conversation's and a session's folder.")
		return
	}
	outer, _, _ := bytes.Cut(h.name, []byte("/"))
	if f := string(foldName(outer)); f == metadataName || f == strings.ToLower(sumsName) {
		v.problem(h.name, "The folder %.200q clashes with a file.", outer)
	}
}

// checkEnds checks that the first and the last entry are what they should be.
func (v *verifier) checkEnds() {
	if string(v.header(0).name) != metadataName {
		v.report.AddProblem("", "The first entry is not %s.", metadataName)
	}
	if string(v.header(len(v.index.entries)-1).name) != sumsName {
		v.report.AddProblem("", "The last entry is not %s.", sumsName)
	}
	for _, name := range []string{metadataName, sumsName} {
		if v.index.find([]byte(name)) < 0 {
			v.report.AddProblem("", "The ZIP has no %s.", name)
		}
	}
}

// nameFault says why a name is unsafe to unpack; "" if it is safe.
func nameFault(name []byte) string {
	switch {
	case !utf8.Valid(name):
		return "is not UTF-8"
	case bytes.ContainsFunc(name, unicode.IsControl):
		return "has control characters"
	case bytes.ContainsAny(name, `<>:"\|?*`):
		return `has one of <>:"\|?*`
	}
	for part := range bytes.SplitSeq(name, []byte("/")) {
		switch last := bytes.TrimRight(part, ". "); {
		case len(part) == 0 || string(part) == "." || string(part) == "..":
			return "has an empty part, . or .. and could leave the folder"
		case len(last) < len(part):
			return "has a part that ends with a dot or a space"
		case len(part) > maxNamePart:
			return "has a part of more than 200 bytes"
		case deviceName(part):
			return "has a part that Windows reserves"
		}
	}
	return ""
}

// deviceName reports whether Windows opens a device instead of a file.
func deviceName(part []byte) bool {
	stem, _, _ := bytes.Cut(part, []byte("."))
	stem = bytes.TrimRight(stem, " ")
	if len(stem) < 3 || len(stem) > 7 {
		return false
	}
	name := strings.ToUpper(string(stem))
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if strings.HasPrefix(name, "COM") || strings.HasPrefix(name, "LPT") {
		number := name[3:]
		return utf8.RuneCountInString(number) == 1 && strings.Contains("0123456789¹²³", number)
	}
	return false
}

// foldName maps names that differ only in case to the same bytes.
func foldName(name []byte) []byte { return bytes.ToLower(bytes.ToUpper(name)) }
