package catalog

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

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
