package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/callvault/callvault/internal/domain"
)

// Bounds of the listener. There is none for writing, since a download of many GiB over a slow line
// is legitimate. Handlers bound their own writes with http.ResponseController.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// adminServer is the name of the console's own server.
const adminServer = "admin"

// HTTPServer listens and serves until it is stopped.
type HTTPServer struct {
	name     string
	listener net.Listener
	server   *http.Server
	stop     StopTimes
	stopping atomic.Bool
	abort    context.CancelCauseFunc
}

// StopTimes is how long a server takes to stop.
type StopTimes struct {
	// Delay is how long it still accepts connections after it was told to stop, so that a balancer
	// sees that it is not ready before it refuses anybody. Every answer of that time closes its
	// connection, so that no idle connection is open at the end.
	Delay time.Duration
	Drain time.Duration // until running requests are cancelled; Delay is part of it
}

// Listen opens the address at once, so that a port in use is an error at start (KindUnavailable).
func Listen(ctx context.Context, name, address string, handler http.Handler, stop StopTimes, log *zap.Logger) (*HTTPServer, error) {
	lc := net.ListenConfig{Control: boundUnsent}
	lc.SetMultipathTCP(false) // on its listeners the bound has no effect
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenError(err, name, address)
	}
	// Requests go on after the signal that stops the process; close cancels them.
	base, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	errorLog, err := zap.NewStdLogAt(log.Named(name), zap.DebugLevel)
	if err != nil {
		abort(nil)
		return nil, errors.Join(fmt.Errorf("log of %s: %w", name, err), listener.Close())
	}
	s := &HTTPServer{name: name, listener: listener, stop: stop, abort: abort}
	s.server = &http.Server{
		Handler:           s.closeWhileStopping(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          errorLog, // mistakes of clients
	}
	return s, nil
}

// maxUnsent bounds what the kernel takes of an answer before it can be sent, in bytes. By default
// it is up to 4 MiB. A download that breaks off would have to pay for them, though they never left
// this host, and one of 300 KiB/s would look stalled: the next Write waits until a third of them is
// sent.
const maxUnsent = 128 << 10

// boundUnsent sets maxUnsent for a listening socket. Its connections inherit it. A kernel that does
// not know the option takes as much as it does by default.
func boundUnsent(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent) })
}

// listenError says why this process cannot listen on an address, and what to do.
func listenError(err error, name, address string) error {
	choose := "choose another with --listen HOST:PORT (CALLVAULT_LISTEN); port 0 takes a free one"
	if name == adminServer {
		choose = "choose another with --admin-listen HOST:PORT (CALLVAULT_ADMIN_LISTEN)"
	}
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return domain.Wrap(domain.KindUnavailable, err, "cannot listen on %s: another program has port %s; stop that one (ss -ltnp shows it), or %s", address, port, choose)
	case errors.Is(err, syscall.EACCES):
		return domain.Wrap(domain.KindUnavailable, err, "cannot listen on %s: port %s needs a right that this user lacks; %s", address, port, choose)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return domain.Wrap(domain.KindUnavailable, err, "cannot listen on %s: no network interface of this host has this address; %s", address, choose)
	}
	return domain.Wrap(domain.KindUnavailable, err, "cannot listen on %s; %s", address, choose)
}

// closeWhileStopping closes the connection after each answer once the server was told to stop.
func (s *HTTPServer) closeWhileStopping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Addr is the address that is listened on, with the port that was chosen for port 0.
func (s *HTTPServer) Addr() string { return s.listener.Addr().String() }

// Component puts the server into a group at the given stage.
func (s *HTTPServer) Component(stage Stage) Component {
	return Component{Name: s.name, Stage: stage, Run: s.run, Close: s.close, Drain: s.stop.Drain + time.Second}
}

func (s *HTTPServer) run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.stop.Drain)
	defer cancel()
	s.stopping.Store(true)
	select {
	case err := <-failed:
		return err
	case <-time.After(s.stop.Delay):
	}
	err := s.server.Shutdown(waiting)
	if err != nil {
		err = fmt.Errorf("requests still running after %s were cut off: %w", s.stop.Drain, err)
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// close cancels requests that still run. It also frees a listener that never served.
func (s *HTTPServer) close() error {
	s.abort(domain.Errorf(domain.KindInterrupted, "the process stops")) // the cause tells this from a client that is gone
	err := s.server.Close()
	if e := s.listener.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}
