package catalog

import (
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// shortValue is the length in bytes up to which a former value is stored whole.
const shortValue = 128

// former is a value that a line replaced or cleared. It is stored as its difference from the value
// that replaced it. Otherwise the former values of a transcript that is sent again with each turn
// would grow with the square of the number of turns.
type former struct {
	id, field  string
	head, tail int    // bytes in common with the beginning and the end of the value after it; or head is isPatch
	value      string // the bytes in between, or the patch
	copied     bool   // the database copies the value from the row before the row is updated
	cleared    bool   // there is no value after it
}

// formerOf gives a former value as its difference from the value after it, which is a string, or
// nil for none.
func formerOf(id, field, value string, after any) former {
	next, replaced := after.(string)
	f := former{id: id, field: field, value: value, cleared: after == nil}
	if !replaced || len(value) <= shortValue {
		return f
	}
	head, tail := shared(value, next)
	between := value[head : len(value)-tail]
	if len(between) > shortValue && max(len(value), len(next)) <= patchMost {
		p, err := patch(value, next)
		if err == nil && 2*len(p) < len(between) {
			return former{id: id, field: field, head: isPatch, value: p}
		}
	}
	if 2*(head+tail) >= len(value) {
		f.head, f.tail, f.value = head, tail, between
	}
	return f
}

// before restores the former value from the value after it. An error means that it is damaged.
func (f former) before(after string) (string, error) {
	switch {
	case f.head == isPatch:
		return patched(f.value, after)
	case f.head+f.tail > len(after):
		return "", errors.New("it shares more with the value after it than that has")
	}
	return after[:f.head] + f.value + after[len(after)-f.tail:], nil
}

// isPatch is the head of a former value that differs in several places from the value after it. Its
// value is the base64 of a zstd frame, whose dictionary is the value after it.
const isPatch = -1

const (
	// patchSpeed is the length in bytes up to which zstd's fastest level finds what two values have
	// in common.
	patchSpeed = 256 << 10
	// patchMost is the length in bytes up to which patches are made. Making one takes about ten
	// times the value's memory, and zstd finds less in longer values.
	patchMost = 8 << 20
)

// dictionary is the id of the dictionary in each zstd frame. A former value has only one.
const dictionary = 1

// patch gives the patch from the next value to this one.
func patch(value, next string) (string, error) {
	level := zstd.SpeedFastest
	if len(value) > patchSpeed {
		level = zstd.SpeedBetterCompression
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(dictionary, []byte(next)), zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(w.EncodeAll([]byte(value), nil)), nil
}

// patched restores a value from its patch and the next value.
func patched(text, next string) (string, error) {
	frame, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", err
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderDictRaw(dictionary, []byte(next)), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return "", err
	}
	defer r.Close()
	value, err := r.DecodeAll(frame, nil)
	return string(value), err
}

// shared counts the bytes of whole characters that two values have in common at their beginning and
// at their end.
func shared(value, next string) (head, tail int) {
	shorter := min(len(value), len(next))
	for head < shorter && value[head] == next[head] {
		head++
	}
	for head > 0 && head < len(value) && !utf8.RuneStart(value[head]) {
		head--
	}
	for tail < shorter-head && value[len(value)-1-tail] == next[len(next)-1-tail] {
		tail++
	}
	for tail > 0 && !utf8.RuneStart(value[len(value)-tail]) {
		tail--
	}
	return head, tail
}
