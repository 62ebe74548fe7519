package domain

import (
	"crypto/rand"
	"encoding/hex"
)

// NewToken gives 96 random bits as text: for a claim, or as the end of an id.
func NewToken() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	return hex.EncodeToString(b[:])
}
