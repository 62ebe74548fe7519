package web

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
)

// Signer signs cursors and links. Errors of Verify: KindUnauthorized for what it did not sign,
// KindUnavailable.
type Signer interface {
	Sign(ctx context.Context, purpose auth.Purpose, about string, payload []byte) string
	Verify(ctx context.Context, purpose auth.Purpose, about, token string) ([]byte, error)
}

// MaxCursor bounds the length of a cursor, in bytes.
const MaxCursor = 4096

// SignCursor makes an opaque cursor of a position. about names what the cursor is bound to: tenant,
// endpoint and filters. Different ones must give different texts.
func SignCursor[P any](ctx context.Context, s Signer, about string, position P) (string, error) {
	payload, err := json.Marshal(position)
	if err != nil {
		return "", fmt.Errorf("sign a cursor: %w", err)
	}
	return s.Sign(ctx, auth.PurposeCursor, about, payload), nil
}

// OpenCursor gives the position of a cursor that was made with the same about. Errors: KindInvalid
// for any other text, KindUnavailable.
func OpenCursor[P any](ctx context.Context, s Signer, about, cursor string) (position P, err error) {
	wrong := domain.Errorf(domain.KindInvalid, "the cursor is not one of this request")
	if len(cursor) > MaxCursor {
		return position, wrong
	}
	payload, err := s.Verify(ctx, auth.PurposeCursor, about, cursor)
	switch domain.KindOf(err) {
	case "":
	case domain.KindUnauthorized:
		return position, wrong
	default:
		return position, err
	}
	if err := json.Unmarshal(payload, &position); err != nil {
		return position, wrong
	}
	return position, nil
}
