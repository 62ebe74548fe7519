package objstore_test

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

// TestRefusals: the kind, text and advice of stores' answers, by a GET and by a HEAD of the bucket.
func TestRefusals(t *testing.T) {
	type answer struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string `xml:",omitempty"`
		Region  string `xml:",omitempty"`
		HostId  string
	}
	cases := []struct {
		status        int
		code, message string
		region        string
		kind          domain.Kind
		says, advice  string
	}{
		{400, "InvalidArgument", "Unsupported header 'x-amz-checksum-crc32' received for this API call.", "", domain.KindRefused,
			"the object store refuses this (InvalidArgument: Unsupported header 'x-amz-checksum-crc32' received for this API call.)", "migrate up"},
		{501, "NotImplemented", "A header you provided implies functionality that is not implemented.", "", domain.KindRefused, "NotImplemented", "migrate up"},
		{405, "MethodNotAllowed", "The specified method is not allowed.", "", domain.KindRefused, "MethodNotAllowed", "migrate up"},
		{400, "AuthorizationHeaderMalformed", "The region 'us-east-1' is wrong; expecting 'eu-central-1'", "", domain.KindRefused, "expects eu-central-1", "CALLVAULT_S3_REGION=eu-central-1"},
		{400, "AuthorizationHeaderMalformed", "The region is wrong", "eu-west-3", domain.KindRefused, "expects eu-west-3", "CALLVAULT_S3_REGION=eu-west-3"},
		{301, "PermanentRedirect", "Please send it to https://s3.secret.example/?X-Amz-Signature=1", "", domain.KindRefused, "refuses the region us-east-1", "CALLVAULT_S3_REGION"},
		{400, "IllegalLocationConstraintException", "", "", domain.KindRefused, "refuses the region us-east-1", "CALLVAULT_S3_REGION"},
		{403, "InvalidObjectState", "The operation is not valid for the object's storage class", "", domain.KindUnreadable, "cold storage", "back from cold storage"},
		{403, "AccessDenied", "", "", domain.KindUnavailable, "does not allow this", "policy"},
		{403, "Quarantined", "The object is being examined", "", domain.KindUnavailable, "does not allow this", "policy"},
		{403, "QuotaExceeded", "", "", domain.KindUnavailable, "has no room", "quota"},
		{400, "XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded", "", domain.KindUnavailable, "has no room", "quota"},
		{507, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold.", "", domain.KindUnavailable, "has no room", "free"},
		{403, "InvalidAccessKeyId", "", "", domain.KindUnavailable, "does not know these credentials", "CALLVAULT_S3_ACCESS_KEY"},
		{403, "SignatureDoesNotMatch", "", "", domain.KindUnavailable, "does not know these credentials", "CALLVAULT_S3_SECRET_KEY"},
		{403, "RequestTimeTooSkewed", "", "", domain.KindUnavailable, "clock", "NTP"},
		{400, "ObjectParentIsFile", "Object parent already exists as a file.", "", domain.KindInvalid, "send line and audio under another one (ObjectParentIsFile: ", ""},
		{400, "KeyTooLongError", "Your key is too long", "", domain.KindInvalid, "does not take this key (KeyTooLongError: Your key is too long)", ""},
	}
	cfg := objstoretest.MinIO(t)
	for _, c := range cases {
		t.Run(c.code, func(t *testing.T) {
			cfg := cfg
			cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(c.status)
				if r.Method != http.MethodHead {
					text, err := xml.Marshal(answer{Code: c.code, Message: c.message, Region: c.region, HostId: "host-1"})
					if err != nil {
						t.Error(err)
					}
					_, _ = w.Write(text)
				}
				return true
			}, nil)
			store, err := objstore.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			_, err = store.Recordings().Get(t.Context(), "a", objstore.GetOptions{})
			if domain.KindOf(err) != c.kind || !strings.Contains(domain.SafeMessage(err), c.says) || !strings.Contains(objstore.Advice(err), c.advice) {
				t.Errorf("get: %s: %v; %s", domain.KindOf(err), err, objstore.Advice(err))
			}
			if objstore.Denied(err) != (c.code == "AccessDenied" || c.code == "Quarantined") {
				t.Errorf("denied: %v", objstore.Denied(err))
			}
			if objstore.Refused(err) != (c.kind != domain.KindUnavailable || objstore.Denied(err)) {
				t.Errorf("refused: %v", objstore.Refused(err))
			}
			if text := domain.SafeMessage(err); strings.Contains(text, "://") || strings.Contains(text, "host-1") {
				t.Errorf("it tells too much: %s", text)
			}
			if err := store.Recordings().Check(t.Context()); domain.KindOf(err) != c.kind || !strings.Contains(domain.SafeMessage(err), c.says) {
				t.Errorf("check: %s: %v", domain.KindOf(err), err)
			}
		})
	}
}
