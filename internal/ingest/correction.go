package ingest

import (
	"slices"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// ParseCorrection reads an operator's correction: a recording's objectKey, the reason, and the fields
// of its line that are to be corrected, under the rules of lines. Its error is KindInvalid.
func ParseCorrection(text []byte) (catalog.Correction, error) {
	o, err := parseObject(text)
	if err != nil {
		return catalog.Correction{}, domain.Errorf(domain.KindInvalid, "%v", err)
	}
	known := []string{"objectKey", "reason", "conversationId", "sessionId", "messageId", "type", "timestamp", "sizeBytes", "crc32"}
	f := &fields{object: o}
	for _, m := range o.members {
		if !slices.Contains(known, m.name) {
			f.fail(m.name, "is not known here") // a misspelt wish is better refused than half understood
		}
	}
	k := catalog.Correction{
		ObjectKey:      f.key("objectKey"),
		Reason:         f.label("reason", true),
		ConversationID: given(f.id("conversationId", f.object.get("conversationId") != nil)),
		SessionID:      given(f.id("sessionId", f.object.get("sessionId") != nil)),
		MessageID:      f.integer("messageId", false),
		Type:           given(f.id("type", f.object.get("type") != nil)),
		Timestamp:      f.time("timestamp", false),
		Size:           f.size("sizeBytes"),
		CRC32:          f.crc32("crc32"),
	}
	if reason := badText(k.Reason); reason != "" {
		f.fail("reason", "%s", reason)
	}
	return k, f.err
}

// given is nil for a text that was not given.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
