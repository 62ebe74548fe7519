package testenv

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy in front of one server that makes faults on demand. At first it passes
// everything on. It does not read the bytes, so it works for every protocol.
type Proxy struct {
	target   string
	listener net.Listener
	wait     sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	cut         bool
	gate        chan struct{} // closed: bytes pass; open: they are held
	delay       time.Duration
	breaks      []int64 // response bytes still to pass before each ordered break
	connections map[*connection]struct{}
}

// connection is a client's connection and the one to the server that belongs to it.
type connection struct {
	client, server net.Conn
	ended          atomic.Int32 // directions at their end
	done           chan struct{}
	once           sync.Once
}

func (l *connection) close() {
	l.once.Do(func() {
		close(l.done)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

// NewProxy starts a proxy to target, a host:port or a URL of one, that ends
// with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	if _, rest, isURL := strings.Cut(target, "://"); isURL {
		target = strings.TrimSuffix(rest, "/")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal("testenv: start a proxy: ", err)
	}
	p := &Proxy{target: target, listener: listener, gate: make(chan struct{}), connections: map[*connection]struct{}{}}
	close(p.gate)
	p.wait.Go(p.serve)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		p.closeConnections()
		p.wait.Wait()
	})
	return p
}

// Addr is the proxy's host:port, to be used in place of the server's.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is the proxy's address as an http:// URL.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Cut breaks every connection, and each new one as it comes, until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	p.cut = true
	p.mu.Unlock()
	p.closeConnections()
}

// Stall holds all bytes back, both ways, until Restore; connections stay open
// and new ones are accepted.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open() {
		p.gate = make(chan struct{})
	}
}

// Delay delays each piece of a response (at most 32 KiB) by d.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// BreakAfter breaks a connection once: the one that transfers the nth response byte from now on,
// after that byte. Several calls take effect one after another, each counting from the break before
// it.
func (p *Proxy) BreakAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaks = append(p.breaks, n)
}

// Restore ends all faults: held bytes are passed on, and breaks that did not happen yet are
// dropped.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay, p.breaks = false, 0, nil
	if !p.open() {
		close(p.gate)
	}
}

func (p *Proxy) open() bool {
	select {
	case <-p.gate:
		return true
	default:
		return false
	}
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close() // as the server would
			continue
		}
		l := &connection{client: client, server: server, done: make(chan struct{})}
		p.mu.Lock()
		refuse := p.cut || p.closed
		if !refuse {
			p.connections[l] = struct{}{}
		}
		p.mu.Unlock()
		if refuse {
			l.close()
			continue
		}
		p.wait.Go(func() { p.pump(l, server, client, false) })
		p.wait.Go(func() { p.pump(l, client, server, true) })
	}
}

func (p *Proxy) pump(l *connection, to io.Writer, from io.Reader, response bool) {
	defer func() {
		l.close()
		p.mu.Lock()
		delete(p.connections, l)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, readErr := from.Read(buf)
		pass, broken := p.admit(l, n, response)
		if _, err := to.Write(buf[:pass]); err != nil || broken {
			return
		}
		if readErr != nil {
			if tcp, ok := to.(*net.TCPConn); ok && errors.Is(readErr, io.EOF) && l.ended.Add(1) == 1 {
				_ = tcp.CloseWrite() // a half-closed peer is passed on as such
				<-l.done
			}
			return
		}
	}
}

// admit waits while bytes are held. It returns how many of n bytes may pass, and whether the
// connection breaks after them.
func (p *Proxy) admit(l *connection, n int, response bool) (int, bool) {
	p.mu.Lock()
	gate, delay := p.gate, p.delay
	p.mu.Unlock()
	select {
	case <-gate:
	case <-l.done:
		return 0, true
	}
	if !response || n == 0 {
		return n, false
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.done:
			return 0, true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.breaks) == 0 {
		return n, false
	}
	if left := p.breaks[0]; int64(n) >= left {
		p.breaks = p.breaks[1:]
		return int(left), true
	}
	p.breaks[0] -= int64(n)
	return n, false
}

func (p *Proxy) closeConnections() {
	p.mu.Lock()
	open := make([]*connection, 0, len(p.connections))
	for l := range p.connections {
		open = append(open, l)
	}
	p.mu.Unlock()
	for _, l := range open {
		l.close()
	}
}
