package ingest

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

func TestCorrection(t *testing.T) {
	conversation, session, kind, message, size, sum := "c", "s", "t", int64(-5), int64(11), uint32(0xa1b2c3d4)
	empty := domain.SHA256(sha256.Sum256(nil))
	at := time.Date(2025, 12, 12, 14, 23, 45, 0, time.UTC)
	for text, want := range map[string]catalog.Correction{
		`{"objectKey":"a/b","reason":"wrong size","sizeBytes":11,"crc32":null}`: {ObjectKey: "a/b", Reason: "wrong size", Size: &size},
		`{"objectKey":"a/b","reason":"r","conversationId":"c","sessionId":"s","messageId":-5,"type":"t","timestamp":"2025-12-12T14:23:45Z","crc32":"A1b2c3d4","sha256":"E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`: {
			ObjectKey: "a/b", Reason: "r", ConversationID: &conversation, SessionID: &session, MessageID: &message, Type: &kind, Timestamp: &at, CRC32: &sum, SHA256: &empty},
	} {
		got, err := ParseCorrection([]byte(text))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", text, err, d)
		}
	}
	for text, want := range map[string]string{
		`5`:                                 `not a JSON object`,
		`{"objectKey":"a/b","sizeBytes":1}`: `"reason" is missing`,
		`{"reason":"r","sizeBytes":1}`:      `"objectKey" is missing`,
		`{"objectKey":"a/b","reason":"r","size":1}`:                     `"size" is not known here`,
		`{"objectKey":"a/b","reason":"r","sizeBytes":-1}`:               `"sizeBytes" must not be negative`,
		`{"objectKey":"a/b","reason":"r","sessionId":""}`:               `"sessionId" must not be empty`,
		`{"objectKey":"a/b","reason":"r\u0007","type":"x"}`:             `"reason" must not hold control characters`,
		`{"objectKey":"a/b","reason":"r","timestamp":"yesterday"}`:      `"timestamp" must be an RFC 3339 time`,
		`{"objectKey":"../b","reason":"r","timestamp":"2025-12-12T0:"}`: `"objectKey" must not hold a part`,
	} {
		_, err := ParseCorrection([]byte(text))
		if !errors.Is(err, domain.ErrInvalid) || !strings.HasPrefix(domain.SafeMessage(err), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
