package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"

	"github.com/callvault/callvault/internal/domain"
)

const (
	// Region is the one that the server answers to.
	Region = "us-east-1"

	objectsDir  = "objects"    // the buckets
	metadataDir = "attributes" // stands beside it where there are no extended attributes

	connections   = 1024
	copyThreshold = 5 << 30   // bytes; S3's limit. Left at 0, every copy fails.
	ioBuffer      = 128 << 10 // bytes that each copy and each read of a range holds; the server's own is 1 MiB
	startTries    = 5         // a port can be taken between choosing and binding it
	stopTimeout   = 30 * time.Second
)

// Config says where the server keeps its data and who may ask it.
type Config struct {
	Dir       string // made when missing
	AccessKey string
	SecretKey string
}

// Server is a running server.
type Server struct {
	*Disk
	endpoint string
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // valid after done

	stopOnce sync.Once
}

// Start starts the server and returns when it answers; ctx bounds only that.
// From then on the process's working directory is another. Errors: invalid (no
// credentials), unavailable (the directory can't be used, no port is free, one
// runs already).
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.AccessKey == "" || cfg.SecretKey == "" {
		return nil, domain.Errorf(domain.KindInvalid, "the embedded object store needs an access key and a secret key")
	}
	disk, storer, err := prepare(cfg.Dir)
	if err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "the embedded object store can't use its directory")
	}
	s := &Server{Disk: disk}
	for range startTries {
		if err = s.listen(ctx, storer, cfg); err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, domain.Wrap(domain.KindUnavailable, err, "the embedded object store does not start")
}

// prepare makes the directories and finds out where metadata can be kept. Once
// it is kept in files it stays there, whatever the file system has learned.
func prepare(dir string) (*Disk, meta.MetadataStorer, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	objects, metadata := filepath.Join(root, objectsDir), filepath.Join(root, metadataDir)
	if err := os.MkdirAll(objects, 0o700); err != nil {
		return nil, nil, err
	}
	_, err = os.Stat(metadata)
	if errors.Is(err, fs.ErrNotExist) && !keepsAttributes(objects) {
		err = os.Mkdir(metadata, 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	disk, err := OpenDisk(root)
	if err != nil {
		return nil, nil, err
	}
	if err := syncDirs(disk.objects, filepath.Dir(root)); err != nil {
		return nil, nil, err
	}
	if disk.metadata == "" {
		return disk, meta.XattrMeta{}, nil
	}
	storer, err := meta.NewSideCar(disk.metadata)
	return disk, storer, err
}

// keepsAttributes tries it: some file systems answer a question for an
// attribute and refuse to set one.
func keepsAttributes(dir string) bool {
	const name = "callvault-probe"
	storer := meta.XattrMeta{}
	return storer.StoreAttribute(nil, dir, "", name, []byte("1")) == nil && storer.DeleteAttribute(dir, "", name) == nil
}

// listen makes one try on one port. A server that ends closes its backend, so
// each try has its own.
func (s *Server) listen(ctx context.Context, storer meta.MetadataStorer, cfg Config) error {
	// The server gives its nameless files their names by way of /proc, which a bare chroot lacks.
	_, err := os.Stat("/proc/self/fd")
	opts := posix.PosixOpts{CopyObjectThreshold: copyThreshold, IOBufferSize: ioBuffer, ForceNoTmpFile: err != nil}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	backend, err := posix.New(s.objects, storer, opts)
	if err != nil {
		return err
	}
	addr, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	// The server lives until Stop, not as long as the context of its start.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan struct{})
	done := make(chan struct{})
	s.endpoint, s.cancel, s.done = "http://"+addr, cancel, done
	var once sync.Once
	go func() {
		defer close(done)
		s.err = embedgw.RunVersityGW(running, backend, &embedgw.Config{
			RootUserAccess: cfg.AccessKey, RootUserSecret: cfg.SecretKey, Region: Region,
			// Given here, since the server's own way to the same prints a line.
			IAMService: auth.NewIAMServiceSingle(auth.Account{
				Access: cfg.AccessKey, Secret: cfg.SecretKey, Role: auth.RoleAdmin,
			}),
			Ports: []string{addr}, MaxConnections: connections, MaxRequests: connections,
			MultipartMaxParts: 10_000, KeepAlive: true, Quiet: true, DisableACLs: true,
			S3Options: []s3api.Option{s3api.WithOnListen(func() { once.Do(func() { close(ready) }) })},
		})
	}()
	select {
	case <-ready:
		return nil
	case <-done:
		cancel()
		return fmt.Errorf("listen on %s: %w", addr, errors.Join(s.err, errors.New("the server ended")))
	case <-ctx.Done():
		cancel()
		<-done
		return context.Cause(ctx)
	}
}

// freeAddress finds a port; the server can't tell which one it got.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Endpoint is the server's URL, on loopback.
func (s *Server) Endpoint() string { return s.endpoint }

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop lets running requests finish, ends the server and waits for it.
func (s *Server) Stop() error {
	s.stopOnce.Do(s.cancel)
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-s.done:
	case <-limit.C:
		return domain.Errorf(domain.KindUnavailable, "the embedded object store does not end")
	}
	if s.err != nil && !errors.Is(s.err, context.Canceled) {
		return domain.Wrap(domain.KindUnavailable, s.err, "the embedded object store failed")
	}
	return nil
}
