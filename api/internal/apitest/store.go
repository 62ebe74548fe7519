package apitest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// Store is a bucket in memory.
type Store struct {
	mu      sync.Mutex
	objects map[string][]byte
	Fail    error  // of every call
	FailGet error  // of every Get
	Cold    bool   // every object is in cold storage
	Version string // of every object; no other one can be read by its version
}

// Put stores an object.
func (s *Store) Put(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		s.objects = map[string][]byte{}
	}
	s.objects[key] = data
}

// Delete removes an object.
func (s *Store) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
}

func (s *Store) find(key, version string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Fail != nil {
		return nil, "", s.Fail
	}
	data, ok := s.objects[key]
	if !ok || version != "" && version != s.Version {
		return nil, "", domain.Errorf(domain.KindNotFound, "no such object")
	}
	sum := sha256.Sum256(data)
	return data, hex.EncodeToString(sum[:8]), nil
}

// Stat tells about an object.
func (s *Store) Stat(ctx context.Context, key string) (objstore.Info, error) {
	return s.StatVersion(ctx, key, "")
}

// StatVersion tells about one version of an object.
func (s *Store) StatVersion(_ context.Context, key, version string) (objstore.Info, error) {
	data, etag, err := s.find(key, version)
	return objstore.Info{Size: int64(len(data)), ETag: etag, ContentType: "application/zip", Cold: s.Cold}, err
}

// Get opens an object.
func (s *Store) Get(_ context.Context, key string, o objstore.GetOptions) (*objstore.Object, error) {
	data, etag, err := s.find(key, o.Version)
	if err := cmp.Or(err, s.FailGet); err != nil {
		return nil, err
	}
	if o.IfMatch != "" && o.IfMatch != etag {
		return nil, domain.Errorf(domain.KindConflict, "another ETag")
	}
	to := o.To
	if to == 0 {
		to = int64(len(data))
	}
	return &objstore.Object{Info: objstore.Info{Size: int64(len(data)), ETag: etag}, From: o.From, To: to,
		Body: io.NopCloser(bytes.NewReader(data[o.From:to]))}, nil
}

// Presign gives a URL of a host that does not exist.
func (s *Store) Presign(_ context.Context, key string, ttl time.Duration, o objstore.PresignOptions) (string, error) {
	target := fmt.Sprintf("https://objects.test/%s?ttl=%s&name=%s", key, ttl, o.Filename)
	if o.Range != "" {
		target += "&range=" + o.Range
	}
	return target, s.Fail
}

// Putter stores archives.
type Putter interface{ Put(key string, data []byte) }

// FixtureActor is the actor of the audit lines of fixtures, which the tests of lines leave out.
const FixtureActor = "fixture"

// BuildHour registers a recording in an hour, plans the day, and publishes data as the hour's
// archive, as a worker would. It gives the object's key.
func BuildHour(t testing.TB, c *catalog.Catalog, store Putter, key domain.HourKey, data []byte) string {
	t.Helper()
	ctx := t.Context()
	Register(t, c, key)
	if _, err := c.PlanDay(ctx, key.Tenant, key.Day); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rebuild(ctx, catalog.RebuildRequest{Tenant: key.Tenant, Day: key.Day, Hour: key.Hour, Origin: audit.Origin{Actor: FixtureActor}}); err != nil { // due now, without the delay for more recordings
		t.Fatal(err)
	}
	claim, ok, err := c.Claim(ctx, key, "worker")
	if err != nil || !ok {
		t.Fatalf("claim %s: %v, %v", key, ok, err)
	}
	in, err := c.BuildInput(ctx, claim)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartArchive(ctx, claim); err != nil {
		t.Fatal(err)
	}
	store.Put(claim.ObjectKey(), data)
	sum := sha256.Sum256(data)
	err = c.Commit(ctx, claim, catalog.BuildResult{Wanted: in.Wanted, Size: int64(len(data)), Files: len(in.Recordings), Sessions: []domain.Session{{SessionID: "s-1"}},
		ManifestSHA256: hex.EncodeToString(sum[:])})
	if err != nil {
		t.Fatal(err)
	}
	return claim.ObjectKey()
}

// Register registers one more recording of an hour.
func Register(t testing.TB, c *catalog.Catalog, key domain.HourKey) {
	t.Helper()
	size := int64(3)
	at := key.Day.Start().Add(time.Duration(key.Hour)*time.Hour + time.Minute)
	name := fmt.Sprintf("%s/%d.opus", key, time.Now().UnixNano())
	_, err := c.Register(t.Context(), key.Tenant, catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: name, ConversationID: "c-1", SessionID: "s-1", MessageID: 1, Type: "agent_tts", Timestamp: at, Size: &size}}}})
	if err != nil {
		t.Fatal(err)
	}
}
