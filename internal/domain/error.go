package domain

import (
	"errors"
	"fmt"
)

// Kind is the kind of an error. Code decides by kinds, never by texts.
type Kind string

// The kinds of errors.
const (
	KindInvalid      Kind = "invalid"       // the input is wrong and will stay wrong
	KindNotFound     Kind = "not_found"     // no such thing, or not for this tenant
	KindConflict     Kind = "conflict"      // the thing exists and differs, or changed meanwhile
	KindEnding       Kind = "ending"        // a line or upload names what has ended and is being deleted: it may come again later
	KindUnauthorized Kind = "unauthorized"  // no or bad credential
	KindForbidden    Kind = "forbidden"     // the credential is good and does not allow this
	KindLimited      Kind = "limited"       // a limit is used up
	KindUnavailable  Kind = "unavailable"   // a part is down or slow: trying again can help
	KindLost         Kind = "lost"          // another worker has the claim (fencing)
	KindExpired      Kind = "expired"       // past retention, or after a link's end
	KindInternal     Kind = "internal"      // everything else
	KindTooLarge     Kind = "too_large"     // beyond a size limit
	KindAllMissing   Kind = "all_missing"   // no source of an hour can be archived
	KindSourceFault  Kind = "source_fault"  // the sources kept changing during a build
	KindInterrupted  Kind = "interrupted"   // the process drains; not a failure
	KindStalled      Kind = "stalled"       // no byte came within the watchdog's time
	KindStoreFault   Kind = "store_fault"   // the store refused what was written
	KindRefused      Kind = "refused"       // a part will never do what callvault asks of it; retrying is useless
	KindUnreadable   Kind = "unreadable"    // the object exists, but its bytes can't be read, as in cold storage
	KindBadCatalog   Kind = "catalog_fault" // the catalog has data that must not be there
)

// Error is a failure with a message that is safe to show to users. Cause is only logged.
type Error struct {
	Kind  Kind
	Msg   string
	Cause error
}

// Error gives the safe message followed by the cause, for logs and operators.
func (e *Error) Error() string {
	switch {
	case e.Cause == nil:
		return e.Msg
	case e.Msg == "":
		return e.Cause.Error()
	}
	return e.Msg + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is compare kinds when the target carries no message.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Msg == "" && t.Cause == nil
}

// Targets for errors.Is: each matches every Error of its kind.
var (
	ErrInvalid     = &Error{Kind: KindInvalid}
	ErrNotFound    = &Error{Kind: KindNotFound}
	ErrConflict    = &Error{Kind: KindConflict}
	ErrUnavailable = &Error{Kind: KindUnavailable}
	ErrLost        = &Error{Kind: KindLost}
	ErrExpired     = &Error{Kind: KindExpired}
)

// Errorf makes an Error of the given kind. A %w verb sets no cause; use Wrap for that.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Wrap gives cause a kind and a safe message.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf finds the outermost kind in err's chain; KindInternal when there is none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// SafeMessage gives the message of the outermost Error in err's chain, or a general one.
func SafeMessage(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Msg != "" {
		return e.Msg
	}
	return "internal error"
}
