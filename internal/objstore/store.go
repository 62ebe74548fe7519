package objstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/callvault/callvault/internal/domain"
)

const (
	// readTries is how often a request that may be repeated is sent before its failure is reported.
	readTries = 3
	// finishTimeout is how long a store may take to answer a Complete: some copy all parts.
	finishTimeout = 10 * time.Minute
	// idleTimeout is shorter than the idle timeouts of stores, so that a request rarely uses a
	// connection that the store is closing.
	idleTimeout = 20 * time.Second
	idleConns   = 64 // kept for later
	// PartSize is the size, in bytes, of the parts of a streamed upload.
	PartSize = 8 << 20
	// MaxParts is how many parts S3 allows in one upload.
	MaxParts = 10_000
)

// Config says where the object store is and what it is asked for.
type Config struct {
	Endpoint       string // URL with scheme, no path
	PublicEndpoint string // what presigned URLs name; Endpoint when empty
	Region         string // us-east-1 when empty
	AccessKey      string
	SecretKey      string
	Recordings     string // bucket
	Archives       string // bucket

	// Lock is how archives are locked. With it EnsureBuckets makes the archives bucket with object
	// lock, and Try tries the lock. Each write says for itself whether and until when it locks.
	Lock LockMode

	// StallTimeout ends a request over which no byte has come or gone for so
	// long; 30 s when 0.
	StallTimeout time.Duration
	// Observe, when set, is called for every request, for metrics. It must not block.
	Observe func(Observed)
}

// Store is the object store. It is safe for concurrent use.
type Store struct {
	cfg         Config
	core        *minio.Core // repeats failed requests
	once        *minio.Core // sends each request once and waits long for its answer
	public      *minio.Client
	transports  []*http.Transport
	buffers     sync.Pool   // *[]byte of PartSize
	noChecksums atomic.Bool // see DoWithoutChecksums
	noLongParts atomic.Bool // see RefuseLongParts
	recordings  *Bucket
	archives    *Bucket
}

// Bucket is one of the store's two buckets.
type Bucket struct {
	store      *Store
	name       string
	versioning versioning
	noVersions atomic.Bool // see DoWithoutVersions
	lock       LockMode    // Config.Lock, in the archives bucket
}

// New makes a Store. It makes no request. A configuration that can't work is invalid.
func New(cfg Config) (*Store, error) {
	cfg.Region, cfg.StallTimeout = cmp.Or(cfg.Region, "us-east-1"), cmp.Or(cfg.StallTimeout, 30*time.Second)
	cfg.PublicEndpoint = cmp.Or(cfg.PublicEndpoint, cfg.Endpoint)
	if cfg.Recordings == "" || cfg.Archives == "" {
		return nil, domain.Errorf(domain.KindInvalid, "the object store needs a bucket for recordings and one for archives")
	}
	s := &Store{cfg: cfg, buffers: sync.Pool{New: func() any {
		buffer := make([]byte, PartSize)
		return &buffer
	}}}
	s.recordings = &Bucket{store: s, name: cfg.Recordings}
	s.archives = &Bucket{store: s, name: cfg.Archives, lock: cfg.Lock}
	var err error
	if s.core, err = s.client(cfg.Endpoint, readTries, 2*cfg.StallTimeout); err != nil {
		return nil, err
	}
	if s.once, err = s.client(cfg.Endpoint, 1, finishTimeout); err != nil {
		return nil, err
	}
	public, err := s.client(cfg.PublicEndpoint, 1, finishTimeout)
	if err != nil {
		return nil, err
	}
	s.public = public.Client
	return s, nil
}

// Recordings is the bucket that recordings arrive in.
func (s *Store) Recordings() *Bucket { return s.recordings }

// Archives is the bucket that archives are written to.
func (s *Store) Archives() *Bucket { return s.archives }

// Close closes the connections that are idle.
func (s *Store) Close() {
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.name }

func (s *Store) client(endpoint string, tries int, answer time.Duration) (*minio.Core, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return nil, domain.Errorf(domain.KindInvalid, "the object store's endpoint is not a URL like https://s3.example.com")
	}
	transport := newTransport(answer)
	s.transports = append(s.transports, transport)
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(s.cfg.AccessKey, s.cfg.SecretKey, ""),
		Secure:     u.Scheme == "https",
		Region:     s.cfg.Region, // set, so that no request is made to find it
		Transport:  s.cfg.observed(transport),
		MaxRetries: tries,
	})
	if err != nil {
		return nil, domain.Wrap(domain.KindInvalid, err, "the object store's endpoint or credentials are not usable")
	}
	return core, nil
}

// newTransport uses HTTP/1.1 only, because parallel bodies over one HTTP/2 connection slow each
// other down. It asks for no compression, because sizes and ranges must be those of the object.
func newTransport(answer time.Duration) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		Protocols:             protocols,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: answer,
		MaxIdleConns:          idleConns,
		MaxIdleConnsPerHost:   idleConns,
		IdleConnTimeout:       idleTimeout,
		DisableCompression:    true,
	}
}

// Check returns nil when the bucket exists and the credentials may see it. Error: unavailable.
func (b *Bucket) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.store.cfg.StallTimeout)
	defer cancel()
	exists, err := b.store.once.BucketExists(ctx, b.name)
	if err != nil {
		return b.explain(ctx, b.failure(ctx, "reach", "", err))
	}
	if !exists {
		return missingBucket("reach", b.name, nil)
	}
	return nil
}

// explain replaces the error of a refused HEAD by that of a GET, whose answer has the reason.
func (b *Bucket) explain(ctx context.Context, err error) error {
	if domain.KindOf(err) != domain.KindRefused && !Denied(err) {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, some := <-b.store.once.Client.ListObjects(ctx, b.name, minio.ListObjectsOptions{MaxKeys: 1})
	if some && first.Err != nil {
		return b.failure(ctx, "reach", "", first.Err)
	}
	return err
}
