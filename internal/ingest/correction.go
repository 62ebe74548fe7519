package ingest

import (
	"slices"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// ParseCorrection reads an operator's correction of a recording: its objectKey, the reason, and the
// new values of fields. The fields have the rules of a line's. Its error is KindInvalid.
func ParseCorrection(text []byte) (catalog.Correction, error) {
	o, err := parseObject(text)
	if err != nil {
		return catalog.Correction{}, domain.Errorf(domain.KindInvalid, "%v", err)
	}
	known := []string{"objectKey", "reason", "conversationId", "sessionId", "messageId", "type", "timestamp", "sizeBytes", "crc32", "sha256"}
	f := &fields{object: o}
	for _, m := range o.members {
		if !slices.Contains(known, m.name) {
			f.fail(m.name, "is not known here") // a misspelt field would be ignored silently
		}
	}
	k := catalog.Correction{
		ObjectKey:      f.key("objectKey"),
		Reason:         f.label("reason", true),
		ConversationID: optional(f.id("conversationId", f.object.get("conversationId") != nil)),
		SessionID:      optional(f.id("sessionId", f.object.get("sessionId") != nil)),
		MessageID:      f.integer("messageId", false),
		Type:           optional(f.id("type", f.object.get("type") != nil)),
		Timestamp:      f.time("timestamp", false),
		Size:           f.size("sizeBytes"),
		CRC32:          f.crc32("crc32"),
		SHA256:         f.sha256("sha256"),
	}
	if reason := badText(k.Reason, maxLabelBytes); reason != "" {
		f.fail("reason", "%s", reason)
	}
	return k, f.err
}

// optional returns nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
