package bench_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/testenv"
)

const tenant = "acme-1"

// fixture is a store, a database and a tenant.
type fixture struct {
	testing.TB
	ctx                  context.Context
	s3                   testenv.S3
	recordings, archives string // buckets
	client               *minio.Client
	database             string
	catalog              *catalog.Catalog
	day                  domain.Day // yesterday
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, ctx: t.Context(), database: catalogtest.Postgres(t), s3: testenv.MinIO(t), day: yesterday()}
	f.recordings, f.archives = f.s3.NewBucket(t, "recordings"), f.s3.NewBucket(t, "archives")
	var err error
	f.client, err = minio.New(strings.TrimPrefix(f.s3.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(f.s3.AccessKey, f.s3.SecretKey, ""), Region: f.s3.Region,
	})
	f.must(err)
	f.catalog = catalogtest.Open(t, f.database)
	addTenant(t, f.catalog, tenant)
	return f
}

func yesterday() domain.Day { return domain.DayOf(time.Now()).Add(-1) }

func addTenant(t testing.TB, c *catalog.Catalog, id string) {
	t.Helper()
	newTenant := domain.NewTenant(id, 400)
	newTenant.Recordings = true
	_, err := c.CreateTenant(t.Context(), newTenant, audit.Origin{})
	if err != nil {
		t.Fatal(err)
	}
}

// with is the fixture for a part of its test.
func (f *fixture) with(t testing.TB) *fixture {
	part := *f
	part.TB, part.ctx = t, t.Context()
	return &part
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// objectKey names the n-th recording of a fixture.
func objectKey(n int) string {
	return fmt.Sprintf("knovvu-va/%s/project/conversations/2031/03/10/conversation-%06d/message_%d_agent_tts.opus", tenant, n/4, n)
}

// fill stores the recordings from up to, not including, to. It sends one tar file, which MinIO
// unpacks, because single requests take longer than everything that is measured.
func (f *fixture) fill(from, to int, size int64) {
	f.Helper()
	reader, writer := io.Pipe()
	go func() {
		tape := tar.NewWriter(writer)
		var err error
		for n := from; n < to && err == nil; n++ {
			err = tape.WriteHeader(&tar.Header{Name: objectKey(n), Mode: 0o600, Size: size, Format: tar.FormatUSTAR})
			if err == nil {
				_, err = io.CopyN(tape, noise(uint64(n)), size)
			}
		}
		writer.CloseWithError(errors.Join(err, tape.Close()))
	}()
	const block = 512 // every header is one, with these keys
	length := int64(to-from)*(block+(size+block-1)/block*block) + 2*block
	_, err := f.client.PutObject(f.ctx, f.recordings, "tape.tar", reader, length, minio.PutObjectOptions{
		DisableMultipart: true, DisableContentSha256: true,
		UserMetadata: map[string]string{"X-Amz-Meta-Snowball-Auto-Extract": "true"},
	})
	f.must(err)
}

// register registers recordings for the first hour of a day.
func (f *fixture) register(day domain.Day, from, to int, size int64) {
	f.Helper()
	for at := from; at < to; at += 5000 {
		var b catalog.Batch
		for n := at; n < min(at+5000, to); n++ {
			b.Recordings = append(b.Recordings, catalog.Line[domain.Recording]{Number: n - at + 1, Value: domain.Recording{
				ObjectKey: objectKey(n), ConversationID: fmt.Sprintf("agent_1_1705320000_%06d", n/4),
				SessionID: fmt.Sprintf("session-%06d", n/4), MessageID: int64(n), Type: "agent_tts", Size: &size,
				Timestamp: day.Start().Add(time.Duration(n-from) * 40 * time.Millisecond),
			}})
		}
		_, err := f.catalog.Register(f.ctx, tenant, b)
		f.must(err)
	}
}

// noise is a reader of bytes that do not compress, like audio.
type noise uint64

func (x noise) Read(p []byte) (int, error) {
	s := uint64(x)*2862933555777941757 + 0x9e3779b97f4a7c15
	for i := range p {
		s ^= s << 13
		s ^= s >> 7
		s ^= s << 17
		p[i] = byte(s)
	}
	return len(p), nil
}
