package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// maxLabelBytes bounds short texts such as a locale or a phone number.
const maxLabelBytes = 512

// maxNumberBytes bounds a number that is stored as it is spelled.
const maxNumberBytes = 64

// fields reads the fields of one object and keeps the first error.
type fields struct {
	object object
	path   string // of the object within its line, with a dot at its end; "" for the line itself
	err    error
}

func (f *fields) fail(name, format string, args ...any) {
	if f.err == nil {
		f.err = domain.Errorf(domain.KindInvalid, "%q %s", f.path+name, fmt.Sprintf(format, args...))
	}
}

// value returns a field's bytes; nil when it is absent or null.
func (f *fields) value(name string, required bool) []byte {
	v := f.object.get(name)
	if v == nil && required {
		f.fail(name, "is missing")
	}
	return v
}

// text reads a string of any length; "" when absent.
func (f *fields) text(name string, required bool) string {
	v := f.value(name, required)
	if v == nil {
		return ""
	}
	if v[0] != '"' {
		f.fail(name, "must be a string")
		return ""
	}
	s, err := unquote(v)
	if err != nil {
		f.fail(name, "%v", err)
	}
	if s == "" && required {
		f.fail(name, "must not be empty")
	}
	return s
}

// label reads a short string.
func (f *fields) label(name string, required bool) string {
	s := f.text(name, required)
	if len(s) > maxLabelBytes {
		f.fail(name, "must have at most %d bytes", maxLabelBytes)
	}
	return s
}

// id reads an id; "" when absent or empty and not required.
func (f *fields) id(name string, required bool) string {
	s := f.text(name, required)
	if reason := badText(s, domain.MaxIDBytes); reason != "" {
		f.fail(name, "%s", reason)
	}
	return s
}

// key reads an object key.
func (f *fields) key(name string) string {
	s := f.text(name, true)
	if s != "" {
		if reason := badKey(s); reason != "" {
			f.fail(name, "%s", reason)
		}
	}
	return s
}

// oneOf reads one of a few words; "" when absent.
func (f *fields) oneOf(name string, words ...string) string {
	if f.object.get(name) == nil {
		return ""
	}
	s := f.text(name, false)
	if !slices.Contains(words, s) {
		f.fail(name, "must be one of %s", strings.Join(words, ", "))
	}
	return s
}

// time reads an RFC 3339 time; nil when absent.
func (f *fields) time(name string, required bool) *time.Time {
	v := f.value(name, required)
	if v == nil {
		return nil
	}
	var t time.Time
	text, err := unquote(v)
	ok := v[0] == '"' && err == nil
	if ok {
		t, ok = parseTime(text)
	}
	if !ok {
		f.fail(name, "must be an RFC 3339 time such as 2025-12-12T14:23:45Z")
		return nil
	}
	t = time.UnixMicro(t.UnixMicro()).UTC()
	if y := t.Year(); y < 1970 || y > 9999 {
		f.fail(name, "must be a time from 1970 to 9999")
	}
	return &t
}

// parseTime reads an RFC 3339 time, whose T and Z may be in lower case. It refuses what package
// time accepts beyond RFC 3339: an hour of one digit, a comma before the fraction, a zone beyond
// 23:59.
func parseTime(text string) (time.Time, bool) {
	text = strings.ToUpper(text)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") {
		return t, false
	}
	zone := text[len(text)-len("+07:00"):]
	return t, strings.HasSuffix(text, "Z") || zone[1:3] <= "23" && zone[4:] <= "59"
}

// unixTime reads Unix seconds.
func (f *fields) unixTime(name string) time.Time {
	v := f.value(name, true)
	if v == nil {
		return time.Time{}
	}
	if !isNumber(v) {
		f.fail(name, "must be a number of Unix seconds such as 1744651778.652")
		return time.Time{}
	}
	us, ok := decimalMicros(string(v))
	if !ok || us < 0 || us >= endMicros {
		f.fail(name, "must be Unix seconds of a time from 1970 to 9999")
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// integer reads a whole number that fits 64 bits; nil when absent.
func (f *fields) integer(name string, required bool) *int64 {
	v := f.value(name, required)
	if v == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		f.fail(name, "must be an integer of 64 bits")
		return nil
	}
	return &n
}

// size reads a number of bytes; nil when absent.
func (f *fields) size(name string) *int64 {
	n := f.integer(name, false)
	if n != nil && *n < 0 {
		f.fail(name, "must not be negative")
	}
	return n
}

// crc32 reads a checksum in hex; nil when absent.
func (f *fields) crc32(name string) *uint32 {
	if f.object.get(name) == nil {
		return nil
	}
	sum, err := ParseCRC32(f.text(name, true))
	if err != nil {
		f.fail(name, "must be 8 hex digits such as a1b2c3d4")
		return nil
	}
	return &sum
}

// sha256 reads a SHA-256 in hex; nil when absent.
func (f *fields) sha256(name string) *domain.SHA256 {
	if f.object.get(name) == nil {
		return nil
	}
	sum, err := domain.ParseSHA256(f.text(name, true))
	if err != nil {
		f.fail(name, "must be 64 hex digits, as sha256sum prints them")
		return nil
	}
	return &sum
}

// raw returns the bytes of a value of one type; nil when absent.
func (f *fields) raw(name, typeName string, ofType func(v []byte) bool) json.RawMessage {
	v := f.object.get(name)
	if v != nil && !ofType(v) {
		f.fail(name, "must be %s", typeName)
	}
	return bytes.Clone(v)
}

// rawNumber returns a number as it is spelled; nil when absent.
func (f *fields) rawNumber(name string) json.RawMessage {
	v := f.raw(name, "a number", isNumber)
	if len(v) > maxNumberBytes {
		f.fail(name, "must have at most %d characters", maxNumberBytes)
	}
	return v
}

func isNumber(v []byte) bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

func isObject(v []byte) bool { return v[0] == '{' }

// rawObject returns an object's bytes; nil when absent.
func (f *fields) rawObject(name string) json.RawMessage { return f.raw(name, "an object", isObject) }

// rawStrings returns the bytes of a list of strings; nil when absent.
func (f *fields) rawStrings(name string) json.RawMessage {
	return f.raw(name, "a list of strings", func(v []byte) bool {
		var list []json.RawMessage
		return json.Unmarshal(v, &list) == nil && !slices.ContainsFunc(list, func(item json.RawMessage) bool { return item[0] != '"' })
	})
}

// nested reads an object whose members are fields. It does nothing when the object is absent or
// null.
func (f *fields) nested(name string, read func(inner *fields)) {
	v := f.object.get(name)
	if v == nil || f.err != nil {
		return
	}
	if !isObject(v) {
		f.fail(name, "must be an object")
		return
	}
	o, err := members(v)
	if err != nil {
		f.fail(name, "is not right: %v", err)
		return
	}
	inner := fields{object: o, path: f.path + name + "."}
	read(&inner)
	if f.err == nil {
		f.err = inner.err
	}
}

// cleared appends to list the fields that the line clears: those that are null or an empty text. An
// empty transcript.raw is a value and clears nothing.
func (f *fields) cleared(list []string, names ...string) []string {
	for _, name := range names {
		i, ok := f.object.index[name]
		if !ok {
			continue
		}
		if v := f.object.members[i].value; string(v) == "null" || string(v) == `""` && name != "raw" {
			list = append(list, f.path+name)
		}
	}
	return list
}
