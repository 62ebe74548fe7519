package ingest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/callvault/callvault/internal/domain"
)

// endMicros is the first microsecond after the year 9999, in Unix time.
const endMicros = int64(253_402_300_800_000_000)

// CheckObjectKey checks that s can be an object key: 1 to 1024 bytes of UTF-8 without control
// characters, in parts between slashes, none of them empty, "." or "..". A store may take fewer
// keys. Its error is KindInvalid.
func CheckObjectKey(s string) error {
	if reason := badKey(s); reason != "" {
		return domain.Errorf(domain.KindInvalid, "the object key %s", reason)
	}
	return nil
}

// badText says why s can't be stored: too many bytes, no UTF-8, or control characters.
func badText(s string, most int) string {
	if len(s) > most {
		return fmt.Sprintf("must have at most %d bytes", most)
	}
	if !utf8.ValidString(s) {
		return "must be valid UTF-8"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "must not hold control characters"
	}
	return ""
}

func badKey(s string) string {
	if s == "" {
		return "must not be empty"
	}
	if reason := badText(s, domain.MaxKeyBytes); reason != "" {
		return reason
	}
	for part := range strings.SplitSeq(s, "/") {
		switch part {
		case "":
			return "must not begin or end with a slash, nor hold two in a row"
		case ".", "..":
			return `must not hold a part "." or ".."`
		}
	}
	return ""
}

var errCRC32 = errors.New("not 8 hex digits")

// ParseCRC32 reads a CRC-32 of 8 hex digits, most significant first.
func ParseCRC32(s string) (uint32, error) {
	if len(s) != 8 || strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return 0, errCRC32
	}
	n, err := strconv.ParseUint(s, 16, 32)
	return uint32(n), err
}

// decimalMicros converts a JSON number of seconds into microseconds, exactly. Digits after the
// microseconds are dropped. ok is false for negative numbers and for numbers that are too large.
func decimalMicros(number string) (us int64, ok bool) {
	mantissa, exponent, hasExponent := number, 0, false
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		hasExponent = true
		n, err := strconv.Atoi(number[i+1:])
		if err != nil || n > 1000 || n < -1000 {
			return 0, false
		}
		mantissa, exponent = number[:i], n
	}
	if strings.HasPrefix(mantissa, "-") {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if len(whole)+len(fraction) > maxNumberBytes && hasExponent {
		return 0, false
	}
	digits := whole + fraction
	point := len(whole) + exponent + 6 // how many digits make whole microseconds
	if point <= 0 {
		return 0, true
	}
	if len(digits) < point {
		if strings.Trim(digits, "0") == "" {
			return 0, true
		}
		if point > 2*maxNumberBytes {
			return 0, false
		}
		digits += strings.Repeat("0", point-len(digits))
	}
	digits = strings.TrimLeft(digits[:point], "0")
	if len(digits) > 18 {
		return 0, false
	}
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}
