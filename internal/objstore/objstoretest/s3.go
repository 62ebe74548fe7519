package objstoretest

import (
	"encoding/json"
	"testing"

	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

// MinIO describes the test process's MinIO, with names for buckets that do not exist yet.
func MinIO(t testing.TB) objstore.Config {
	t.Helper()
	s3 := testenv.MinIO(t)
	return objstore.Config{
		Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: testenv.BucketName("recordings"), Archives: testenv.BucketName("archives"),
	}
}

// LockedMinIO is MinIO with an archives bucket that has object lock, which nobody can bypass.
func LockedMinIO(t testing.TB) objstore.Config {
	cfg := MinIO(t)
	cfg.Lock = objstore.Compliance
	return cfg
}

// Open opens the store that cfg describes, with its buckets, until the test
// ends.
func Open(t testing.TB, cfg objstore.Config) *objstore.Store {
	t.Helper()
	store := newStore(t, cfg)
	if err := store.EnsureBuckets(t.Context()); err != nil {
		t.Fatal("ensure buckets: ", err)
	}
	return store
}

// S3 is the archives bucket of a store that speaks S3. Config names buckets that do not exist yet.
func S3(config func(testing.TB) objstore.Config) Store {
	return Store{
		New: func(t testing.TB) string {
			cfg := config(t)
			Open(t, cfg)
			text, err := json.Marshal([]string{cfg.Endpoint, cfg.Region, cfg.AccessKey, cfg.SecretKey, cfg.Recordings, cfg.Archives, string(cfg.Lock)})
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
		Open: func(where string) (Bucket, error) {
			var c [7]string
			if err := json.Unmarshal([]byte(where), &c); err != nil {
				return nil, err
			}
			store, err := objstore.New(objstore.Config{Endpoint: c[0], Region: c[1], AccessKey: c[2], SecretKey: c[3], Recordings: c[4], Archives: c[5], Lock: objstore.LockMode(c[6])})
			if err != nil {
				return nil, err
			}
			return store.Archives(), nil
		},
	}
}

// RunS3 runs the suite and what else is asked of a store that speaks S3 over a network.
func RunS3(t *testing.T, config func(testing.TB) objstore.Config) {
	Run(t, S3(config))
	cases := []struct {
		name string
		test func(t *testing.T, f *s3)
	}{
		{"missing bucket", missingBucket},
		{"wrong credentials", wrongCredentials},
		{"ensure buckets again", ensureAgain},
		{"presign", presign},
		{"presign for a range", presignRange},
		{"presign expires", presignExpires},
		{"stalled body", stalledBody},
		{"stalled upload", stalledUpload},
		{"broken body", brokenBody},
		{"unreachable", unreachable},
		{"try", try},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &s3{cfg: config(t)}
			f.store = Open(t, f.cfg)
			f.archives = f.store.Archives()
			f.bucket = f.archives
			c.test(t, f)
		})
	}
}

// s3 is a store with empty buckets.
type s3 struct {
	fixture
	cfg      objstore.Config
	store    *objstore.Store
	archives *objstore.Bucket
}

func newStore(t testing.TB, cfg objstore.Config) *objstore.Store {
	t.Helper()
	store, err := objstore.New(cfg)
	if err != nil {
		t.Fatal("open the store: ", err)
	}
	t.Cleanup(store.Close)
	return store
}

// proxied opens the same buckets through a proxy.
func (f *s3) proxied(t *testing.T, change func(*objstore.Config)) (*testenv.Proxy, *objstore.Bucket) {
	t.Helper()
	proxy := testenv.NewProxy(t, f.cfg.Endpoint)
	cfg := f.cfg
	cfg.Endpoint = proxy.URL()
	change(&cfg)
	return proxy, newStore(t, cfg).Archives()
}
