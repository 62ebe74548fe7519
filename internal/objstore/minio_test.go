package objstore_test

import (
	"bytes"
	"errors"
	"slices"
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

// TestWritesAreSynced: every writing call syncs the object and fails when the sync does.
func TestWritesAreSynced(t *testing.T) {
	cfg := objstoretest.MinIO(t)
	var synced []string
	var failure error
	cfg.Sync = func(bucket, key string) error {
		synced = append(synced, bucket+"/"+key)
		return failure
	}
	store := objstoretest.Open(t, cfg)
	archives := store.Archives()
	put := func(key string) error {
		_, err := archives.Put(t.Context(), key, []byte("x"), objstore.PutOptions{IfNoneMatch: true})
		return err
	}
	stream := func(key string) error {
		_, err := archives.PutStream(t.Context(), key, bytes.NewReader(make([]byte, objstore.PartSize+1)), -1, "")
		return err
	}
	for key, write := range map[string]func(string) error{"put": put, "stream": stream} {
		failure, synced = nil, nil
		if err := write(key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if !slices.Equal(synced, []string{cfg.Archives + "/" + key}) {
			t.Errorf("%s: synced %v", key, synced)
		}
		if err := write(key); domain.KindOf(err) != domain.KindConflict || len(synced) != 1 {
			t.Errorf("%s again: %v, synced %v", key, err, synced)
		}
		failure = errors.New("the disk is gone")
		if err := write(key + "2"); domain.KindOf(err) != domain.KindUnavailable || !errors.Is(err, failure) {
			t.Errorf("%s without a disk: %v", key, err)
		}
	}
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
