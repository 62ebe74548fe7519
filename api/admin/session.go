package admin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/telemetry"
)

const (
	cookieName = "callvault_admin"
	// sessionLife is the life of a session, a working day.
	sessionLife = 12 * time.Hour
)

// sessions makes and checks session cookies. They are signed with a key that is derived from the
// admin token, so every replica accepts them, and a new token ends all of them. The catalog keeps
// which were signed out.
type sessions struct {
	key [sha256.Size]byte
	now func() time.Time
}

func newSessions(token string, now func() time.Time) sessions {
	s := sessions{now: now}
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("callvault console session"))
	mac.Sum(s.key[:0])
	return s
}

func (s sessions) sign(payload []byte) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(payload)
	return mac.Sum(nil)
}

// payloadSize is the size of a payload: the session's end in Unix seconds and 16 random bytes, its
// id.
const payloadSize = 8 + 16

// issue makes the cookie value of a new session.
func (s sessions) issue() string {
	payload := make([]byte, payloadSize)
	binary.BigEndian.PutUint64(payload, uint64(s.now().Add(sessionLife).Unix()))
	_, _ = rand.Read(payload[8:]) // it never returns an error
	return base64.RawURLEncoding.EncodeToString(slices.Concat(payload, s.sign(payload)))
}

// session is a session's id, which is no secret, and its end.
type session struct {
	id    string
	until time.Time
}

// read gives the session of a cookie value, and false when the value is not valid or has expired.
func (s sessions) read(value string) (session, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) != payloadSize+sha256.Size {
		return session{}, false
	}
	payload := raw[:payloadSize]
	if !hmac.Equal(raw[payloadSize:], s.sign(payload)) {
		return session{}, false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(payload)), 0)
	return session{id: hex.EncodeToString(payload[8:]), until: until}, s.now().Before(until)
}

// session gives the session of a request, which may have been signed out.
func (h *handler) session(r *http.Request) (session, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil || h.closed() {
		return session{}, false
	}
	return h.sessions.read(c.Value)
}

// signedIn says whether the request has a session that was not signed out. It is false when the
// catalog, which knows that, does not answer.
func (h *handler) signedIn(r *http.Request) bool {
	s, ok := h.session(r)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	ended, err := h.deps.Catalog.SessionEnded(ctx, s.id)
	if err != nil && !web.ClientGone(r, err) {
		h.deps.Log.Warn("nobody knows whether a session was signed out", telemetry.In(ctx), zap.Error(err))
	}
	return err == nil && !ended
}

// setCookie sets the session cookie, or deletes it when value is empty.
func (h *handler) setCookie(w http.ResponseWriter, r *http.Request, value string) {
	//nolint:gosec // over plain HTTP the browser would not send back a Secure cookie
	c := &http.Cookie{Name: cookieName, Value: value, Path: h.cfg.BasePath + "/admin", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: h.cfg.Secure || web.HTTPS(r), MaxAge: int(sessionLife.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
