package domain

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
)

// SHA256 is the SHA-256 of a recording's bytes. Its text is 64 hex digits, columns have its bytes.
type SHA256 [sha256.Size]byte //nolint:recvcheck // only what fills it needs a pointer

var errSHA256 = errors.New("not 64 hex digits")

// ParseSHA256 reads 64 hex digits of any case.
func ParseSHA256(text string) (s SHA256, err error) {
	if len(text) != hex.EncodedLen(len(s)) {
		return s, errSHA256
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil {
		return SHA256{}, errSHA256
	}
	return s, nil
}

func (s SHA256) String() string { return hex.EncodeToString(s[:]) }

// MarshalText is for JSON.
func (s SHA256) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is for JSON.
func (s *SHA256) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSHA256(string(text))
	return err
}

// Value implements [driver.Valuer].
func (s SHA256) Value() (driver.Value, error) { return s[:], nil }

// Scan implements [sql.Scanner]. For a column that may be null, scan into a pointer to a pointer.
func (s *SHA256) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(s) {
		return fmt.Errorf("a column of SHA-256 sums has a %T of %d bytes", v, len(b))
	}
	*s = SHA256(b)
	return nil
}
