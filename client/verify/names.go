package verify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	metadataName = "metadata.json"
	sumsName     = "SHA256SUMS"
	maxNamePart  = 200 // bytes
)

// checkNames checks that every name is safe, that no two clash, and that the entries are in the
// folders and the order of an hour's archive.
func (v *verifier) checkNames() {
	v.byName = map[string]int{}
	for i := range v.entries {
		e := &v.entries[i]
		if fault := nameFault(e.name); fault != "" {
			v.report.AddProblem(e.name, "The name %s.", fault)
		} else if utf8.RuneCountInString(e.name) < len(e.name) && e.flags&utf8Flag == 0 {
			v.report.AddProblem(e.name, "The name is not marked as UTF-8.")
		}
		if _, twice := v.index[e.name]; twice {
			v.report.AddProblem(e.name, "The name stands in the ZIP twice.")
			continue
		}
		v.index[e.name] = i
		if other, clash := v.folded[foldName(e.name)]; clash {
			v.report.AddProblem(e.name, "The name differs from %q only in case.", v.entries[other].name)
		}
		v.folded[foldName(e.name)] = i
		v.checkPlace(i)
	}
	if len(v.entries) == 0 {
		v.report.AddProblem("", "The ZIP is empty.")
		return
	}
	if v.entries[0].name != metadataName {
		v.report.AddProblem("", "The first entry is not %s.", metadataName)
	}
	if v.entries[len(v.entries)-1].name != sumsName {
		v.report.AddProblem("", "The last entry is not %s.", sumsName)
	}
}

// checkPlace counts a recording and sets its folder.
func (v *verifier) checkPlace(i int) {
	e := &v.entries[i]
	if e.name == metadataName || e.name == sumsName {
		return
	}
	v.report.Files++
	v.report.Bytes += e.size
	if strings.Count(e.name, "/") != 2 {
		v.report.AddProblem(e.name, "The entry is not in a conversation's and a session's folder.")
		return
	}
	outer, _, _ := strings.Cut(e.name, "/")
	if f := foldName(outer); f == foldName(metadataName) || f == foldName(sumsName) {
		v.report.AddProblem(e.name, "The folder %q clashes with a file.", outer)
	}
	folder := e.name[:strings.LastIndexByte(e.name, '/')]
	number, ok := v.byName[folder]
	if !ok {
		number = len(v.folders)
		v.byName[folder] = number
		v.folders = append(v.folders, folder)
	}
	e.folder = number
}

// nameFault says why a name is unsafe to unpack; "" if it is safe.
func nameFault(name string) string {
	switch {
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has control characters"
	case strings.ContainsAny(name, `<>:"\|?*`):
		return `has one of <>:"\|?*`
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return "has an empty part, . or .. and could leave the folder"
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
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
func deviceName(part string) bool {
	stem, _, _ := strings.Cut(part, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT") {
		number := stem[3:]
		return utf8.RuneCountInString(number) == 1 && strings.Contains("0123456789¹²³", number)
	}
	return false
}

// foldName maps names that differ only in case to the same string.
func foldName(name string) string { return strings.ToLower(strings.ToUpper(name)) }
