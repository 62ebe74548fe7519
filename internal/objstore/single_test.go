package objstore_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

// TestSingle: the denial of one object is no outage.
func TestSingle(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	denied, passes := "b", false
	cfg.Endpoint = testenv.HTTPProxy(t, cfg.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/"+cfg.Recordings+"/"+denied) {
			return false
		}
		if passes {
			denied = "-"
		}
		return answer(w, http.StatusForbidden, "AccessDenied")
	}, nil)
	bucket := objstoretest.Open(t, cfg).Recordings()
	single := objstore.Single{Bucket: bucket}
	expect := func(key string, want domain.Kind) {
		t.Helper()
		_, err := single.Stat(t.Context(), key)
		o, getErr := single.Get(t.Context(), key, objstore.GetOptions{})
		if getErr == nil {
			getErr = o.Body.Close()
		}
		if domain.KindOf(err) != want || domain.KindOf(getErr) != want {
			t.Errorf("%s: %v, %v", key, err, getErr)
		}
	}
	expect("b", domain.KindUnavailable) // there is nothing else to read
	if _, err := bucket.Put(t.Context(), "a", nil, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("b", domain.KindUnreadable)
	expect("a", "")
	expect("c", domain.KindNotFound)
	passes = true // the denial has ended, so it says nothing about the object
	if _, err := single.Stat(t.Context(), "b"); domain.KindOf(err) != domain.KindUnavailable {
		t.Error(err)
	}
	passes = false
	denied = ""
	expect("a", domain.KindUnavailable)
}
