package domain

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Tenant is one customer of the platform. Settings lists its settings.
type Tenant struct {
	ID            string
	Name          string
	Recordings    bool // feature daily_audio_recordings
	Export        bool // feature export_api
	RetentionDays int
	DayLimit      int    // day requests answered 200 per sliding hour
	DownloadLimit int    // downloads begun per link and sliding hour
	KeyPrefix     string // its object keys begin with it, and no other tenant's; "" is none

	// SourceRetentionDays is how old a conversation becomes before it ends with its audio; 0 keeps
	// conversations for ever.
	SourceRetentionDays int

	Created  time.Time
	EndsFrom time.Time // no conversation ends before, so that a shorter source retention can be undone
	Closed   time.Time // zero while it is open
}

// ValidKeyPrefix says whether s can be a key prefix: the first parts of an object key, each with
// its slash. Its error is KindInvalid.
func ValidKeyPrefix(s string) error {
	folder, ok := strings.CutSuffix(s, "/")
	ok = ok && len(s) < MaxKeyBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
	for part := range strings.SplitSeq(folder, "/") {
		ok = ok && part != "" && part != "." && part != ".."
	}
	if !ok {
		return Errorf(KindInvalid, "%.70q is not a key prefix; use the beginning of an object key that ends in a slash, such as acme/", s)
	}
	return nil
}

// ValidTenantID says whether s is 1 to 64 of A-Z a-z 0-9 _ and -. Its error is KindInvalid.
func ValidTenantID(s string) error {
	bad := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	}
	if len(s) == 0 || len(s) > 64 || strings.ContainsFunc(s, bad) {
		return Errorf(KindInvalid, "%.70q is not a tenant id; use 1 to 64 of A-Z, a-z, 0-9, _ and -", s)
	}
	return nil
}
