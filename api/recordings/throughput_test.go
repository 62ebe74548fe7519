package recordings_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/api"
	"github.com/callvault/callvault/api/internal/apitest"
	"github.com/callvault/callvault/api/recordings"
	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
	"github.com/callvault/callvault/internal/testenv"
)

const (
	archiveSize    = 256 << 20
	downloadRounds = 15 // their median counts
)

// archiveBucket puts objects into a real store.
type archiveBucket struct {
	testing.TB
	*objstore.Bucket
}

func (k archiveBucket) Put(key string, data []byte) {
	k.Helper()
	if _, err := k.PutStream(k.Context(), key, bytes.NewReader(data), int64(len(data)), "application/zip"); err != nil {
		k.Fatal(err)
	}
}

// BenchmarkDownload downloads an archive of 256 MiB from callvault and from the store's presigned
// URL in turns, over one connection. x-presigned is the ratio of the rates.
func BenchmarkDownload(b *testing.B) {
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	s3 := testenv.MinIO(b)
	store, err := objstore.New(objstore.Config{Endpoint: s3.Endpoint, Region: s3.Region, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
		Recordings: s3.NewBucket(b, "recordings"), Archives: s3.NewBucket(b, "archives")})
	must(err)
	defer store.Close()
	c := catalogtest.Open(b, apitest.SQLite(b))
	_, err = c.CreateTenant(b.Context(), domain.Tenant{ID: "acme", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 100_000}, audit.Origin{})
	must(err)
	now, err := c.Now(b.Context())
	must(err)
	data := make([]byte, archiveSize)
	_, _ = rand.Read(data)
	hour := domain.HourKey{Tenant: "acme", Day: domain.DayOf(now).Add(-1), Hour: 9}
	key := apitest.BuildHour(b, c, archiveBucket{b, store.Archives()}, hour, data)
	keys, err := auth.OpenKeyring(b.Context(), c, "", time.Now)
	must(err)
	issued, err := c.IssueDay(b.Context(), catalog.DayRequest{TokenClaims: catalog.TokenClaims{Tenant: "acme", Scopes: auth.Scopes()}, Scope: auth.ScopeDataService, Day: hour.Day, LinkTTL: time.Hour})
	must(err)
	link := auth.Link{HourKey: hour, Revision: 1, Archive: issued.Hours[hour.Hour].Archive.Token, Expires: issued.LinksEnd}
	family := recordings.New(recordings.Config{PublicURL: publicURL, LinkTTL: time.Hour},
		recordings.Deps{Catalog: c, Links: keys, Store: store.Archives(), Log: zap.NewNop()})
	server := httptest.NewServer(api.New(api.Config{}, api.Deps{Families: []api.Family{family}, Log: zap.NewNop(), Now: time.Now}))
	defer server.Close()
	through := server.URL + dayURL + string(hour.Day) + "/" + hour.HH() + "/download?token=" + keys.SignLink(b.Context(), link)
	direct, err := store.Archives().Presign(b.Context(), key, time.Hour, objstore.PresignOptions{})
	must(err)

	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	buffer := make([]byte, 256<<10)
	fetch := func(url string) float64 {
		b.Helper()
		start := time.Now()
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		must(err)
		resp, err := client.Do(r)
		must(err)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buffer)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || n != archiveSize {
			b.Fatalf("%d, %d bytes, %v", resp.StatusCode, n, err)
		}
		return archiveSize / (1 << 20) / time.Since(start).Seconds()
	}
	fetch(direct)
	fetch(through)
	var rates, peers, ratios []float64
	for b.Loop() {
		for range downloadRounds {
			rates, peers = append(rates, fetch(through)), append(peers, fetch(direct))
			ratios = append(ratios, rates[len(rates)-1]/peers[len(peers)-1])
		}
	}
	same := func(r float64) float64 { return r }
	b.Logf("MiB/s through callvault %.0f, presigned %.0f", rates, peers)
	b.ReportMetric(median(rates, same), "MiB/s")
	b.ReportMetric(median(peers, same), "presigned-MiB/s")
	b.ReportMetric(median(ratios, same), "x-presigned")
	b.ReportMetric(0, "ns/op")
}
