package objstore

import (
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// verdict says what an error answer of the store means.
type verdict struct {
	kind   domain.Kind
	reason string
	advice string // what an operator can do; "" when it depends
	denied bool   // the credentials are valid and do not allow this
}

// Advice that several answers share.
const (
	adviceCold   = "bring the object back from cold storage, and keep recordings out of it until their day's retention is over"
	adviceKeys   = "correct CALLVAULT_S3_ACCESS_KEY and CALLVAULT_S3_SECRET_KEY"
	adviceFull   = "free room in the object store, or raise the bucket's quota"
	adviceNTP    = "synchronise this host's clock and the object store's by NTP"
	adviceDenied = "allow this in the policy of CALLVAULT_S3_ACCESS_KEY's user, or use another user's keys"
	adviceOther  = "use a store that can do what docs/operations.md lists; callvault migrate up tries it"
	adviceRegion = "set CALLVAULT_S3_REGION to the region of the buckets"
)

// classify uses the answer's code first, then its status, because stores have few codes in common.
func (s *Store) classify(answer minio.ErrorResponse) verdict {
	if v, ok := s.region(answer); ok {
		return v
	}
	usual := map[int]string{ // the code that S3 has for a status
		http.StatusPreconditionFailed: minio.PreconditionFailed, http.StatusRequestedRangeNotSatisfiable: "InvalidRange",
		http.StatusRequestEntityTooLarge: "EntityTooLarge", http.StatusForbidden: minio.AccessDenied, http.StatusInsufficientStorage: "QuotaExceeded",
	}
	for _, code := range []string{answer.Code, usual[answer.StatusCode]} {
		if v, ok := byCode(code); ok {
			return v
		}
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		return verdict{kind: domain.KindUnavailable, reason: "the object store refuses the credentials", advice: adviceKeys}
	case http.StatusMovedPermanently:
		return verdict{kind: domain.KindRefused, reason: "the bucket is in another region", advice: adviceRegion}
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return verdict{kind: domain.KindRefused, reason: "the object store refuses this", advice: adviceOther}
	}
	return verdict{kind: domain.KindUnavailable, reason: "the object store failed"}
}

func byCode(code string) (verdict, bool) {
	switch code {
	case minio.NoSuchKey, "NoSuchVersion":
		return verdict{kind: domain.KindNotFound, reason: "there is no such object"}, true
	case minio.NoSuchUpload:
		return verdict{kind: domain.KindLost, reason: "the upload is gone"}, true
	case minio.PreconditionFailed, "ConditionalRequestConflict":
		return verdict{kind: domain.KindConflict, reason: "the object exists already or has changed"}, true
	case "InvalidRange":
		return verdict{kind: domain.KindConflict, reason: "the object is shorter than the range"}, true
	case "BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
		"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "IncompleteBody":
		return verdict{kind: domain.KindStoreFault, reason: "the object store refused the bytes"}, true
	case "EntityTooLarge":
		return verdict{kind: domain.KindTooLarge, reason: "the object is larger than the object store takes"}, true
	case "ObjectParentIsFile", "ExistingObjectIsDirectory", "DirectoryNotEmpty",
		"XMinioParentIsObject", "XMinioObjectExistsAsDirectory":
		return verdict{kind: domain.KindInvalid, reason: "the key is a folder of another key, or the other way round; send line and audio under another one"}, true
	case "KeyTooLongError", "XMinioInvalidObjectName", "InvalidObjectName", "InvalidURI":
		return verdict{kind: domain.KindInvalid, reason: "the object store does not take this key"}, true
	case "InvalidObjectState":
		return verdict{kind: domain.KindUnreadable, reason: "the object is in cold storage, which does not give its bytes", advice: adviceCold}, true
	case minio.AccessDenied, "AllAccessDisabled":
		return verdict{kind: domain.KindUnavailable, reason: "the object store does not allow this to these credentials", advice: adviceDenied, denied: true}, true
	case "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull":
		return verdict{kind: domain.KindUnavailable, reason: "the object store has no room for this", advice: adviceFull}, true
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken":
		return verdict{kind: domain.KindUnavailable, reason: "the object store does not know these credentials", advice: adviceKeys}, true
	case "RequestTimeTooSkewed":
		return verdict{kind: domain.KindUnavailable, reason: "the object store's clock and this host's differ by too much", advice: adviceNTP}, true
	case "RequestTimeout", "SlowDown", "OperationAborted":
		return verdict{kind: domain.KindUnavailable, reason: "the object store failed"}, true
	}
	return verdict{}, false
}

// expecting finds the region in the message of stores that do not return it as a field.
var expecting = regexp.MustCompile(`expecting ['‘"]([A-Za-z0-9-]+)['’"]`)

// region recognises the answers to a request that was signed for another region than the bucket's.
// It names the right one when the store does.
func (s *Store) region(answer minio.ErrorResponse) (verdict, bool) {
	want := answer.Region
	if m := expecting.FindStringSubmatch(answer.Message); want == "" && m != nil {
		want = m[1]
	}
	switch answer.Code {
	case "AuthorizationHeaderMalformed", "InvalidRegion", "AuthorizationQueryParametersError":
		if want == "" && !strings.Contains(strings.ToLower(answer.Message), "region") {
			return verdict{}, false
		}
	case "PermanentRedirect", "IllegalLocationConstraintException", "IncorrectEndpoint":
	default:
		// The answer to a HEAD has no message, but may have the region.
		moved := answer.StatusCode == http.StatusMovedPermanently || answer.StatusCode == http.StatusBadRequest
		if !moved || want == "" || want == s.cfg.Region {
			return verdict{}, false
		}
	}
	v := verdict{kind: domain.KindRefused, reason: "the object store refuses the region " + s.cfg.Region, advice: adviceRegion}
	if want != "" && want != s.cfg.Region {
		v.reason += " and expects " + want
		v.advice = "set CALLVAULT_S3_REGION=" + want
	}
	return v, true
}

const maxStoreText = 200 // bytes of a store's own text

// storeText is the store's message in one short line, without credentials and URLs.
func (s *Store) storeText(answer minio.ErrorResponse) string {
	text := answer.Code
	if answer.Message != "" && answer.Message != answer.Code {
		text += ": " + answer.Message
	}
	for _, secret := range []string{s.cfg.SecretKey, s.cfg.AccessKey} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	for i, word := range words {
		if strings.Contains(word, "://") {
			words[i] = "…"
		}
	}
	text = strings.ToValidUTF8(strings.Join(words, " "), "")
	if len(text) > maxStoreText {
		text = strings.ToValidUTF8(text[:maxStoreText], "") + "…"
	}
	return text
}
