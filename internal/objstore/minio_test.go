package objstore_test

import (
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/objstore/objstoretest"
	"github.com/callvault/callvault/internal/testenv"
)

func TestMain(m *testing.M) {
	if !objstoretest.Writes(objstoretest.S3(objstoretest.MinIO)) {
		testenv.Main(m)
	}
}

func TestMinIO(t *testing.T) { objstoretest.RunS3(t, objstoretest.MinIO) }

// TestLockedMinIO runs the suite against a bucket with object lock: what is written without a lock
// behaves there as in any bucket.
func TestLockedMinIO(t *testing.T) {
	objstoretest.Run(t, objstoretest.S3(objstoretest.LockedMinIO))
}

func TestNewRefuses(t *testing.T) {
	good := objstore.Config{Endpoint: "http://localhost:9000", AccessKey: "a", SecretKey: "b", Recordings: "r12", Archives: "a12"}
	if store, err := objstore.New(good); err != nil {
		t.Error(err)
	} else {
		store.Close()
	}
	for what, change := range map[string]func(*objstore.Config){
		"no endpoint":       func(c *objstore.Config) { c.Endpoint = "" },
		"a host only":       func(c *objstore.Config) { c.Endpoint = "localhost:9000" },
		"another scheme":    func(c *objstore.Config) { c.Endpoint = "s3://localhost" },
		"a path":            func(c *objstore.Config) { c.Endpoint = "http://localhost/s3" },
		"a password":        func(c *objstore.Config) { c.Endpoint = "http://a:b@localhost" },
		"a bad public host": func(c *objstore.Config) { c.PublicEndpoint = "nowhere" },
		"no recordings":     func(c *objstore.Config) { c.Recordings = "" },
		"no archives":       func(c *objstore.Config) { c.Archives = "" },
	} {
		cfg := good
		change(&cfg)
		if _, err := objstore.New(cfg); domain.KindOf(err) != domain.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}
