//go:build !race

package bench_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
	"github.com/callvault/callvault/internal/testenv"
)

// apiMemory bounds the memory of an API process, in bytes.
const apiMemory = 256 << 20

// TestAPIMemory makes an API process use as much memory as callers can. Callers without a
// credential send forms that never end. One API key sends bodies that never end, and never reads
// its large answers. Two other tenants do not read theirs, which takes the rest of the memory that
// is for answers. Another tenant is answered all the same.
func TestAPIMemory(t *testing.T) {
	f := newFixture(t)
	binary := testenv.Program(f)
	f.migrate(binary)
	key, second, third, honest := f.exporter("attacker"), f.exporter("second"), f.exporter("third"), f.exporter("honest")
	for _, id := range []string{"attacker", "second", "third"} {
		f.load(id, largeLines())
	}
	f.load("honest", `{"kind":"conversation","conversationId":"small","agentId":"bot","startTime":"2024-01-15T10:30:00Z"}`)
	address := freeAddress(t)
	pid, _ := f.start(binary, "api", append(f.env(), "CALLVAULT_LISTEN="+address, "CALLVAULT_REDIS_URL="+testenv.Redis(f), "CALLVAULT_PUBLIC_URL=http://"+address))
	client := &http.Client{Timeout: 10 * time.Second}
	ask := func(path string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		f.must(err)
		r.Header.Set("X-Api-Key", honest)
		a, err := client.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		if err == nil && a.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s is answered %d", path, a.StatusCode)
		}
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ask("/conversations/small") != nil && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	attack := func(n int, head, body string) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = c.Close() })
				_ = c.(*net.TCPConn).SetReadBuffer(4096)
				_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.WriteString(c, head+"\r\nHost: x\r\n\r\n"+body) // the server may refuse the rest
				if body == "" {
					_, _ = bufio.NewReaderSize(c, 16).ReadByte() // the answer has begun
				}
			})
		}
		all.Wait()
		m, err := memoryOf(strconv.Itoa(pid))
		f.must(err)
		request, _, _ := strings.Cut(head, " HTTP")
		t.Logf("after %d × %s: %s, peak %s", n, request, mebi(m.now), mebi(m.peak))
	}
	const mebibyte = 1 << 20
	form := "grant_type=" + strings.Repeat("x", mebibyte-100)
	attack(400, "POST /connect/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "+strconv.Itoa(2*mebibyte), form)
	attack(400, "POST /connect/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s", len(form), form))
	const credential = "\r\nX-Api-Key: "
	withKey := credential + key
	attack(200, "POST /api/export/conversation HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(mebibyte)+withKey, strings.Repeat(" ", mebibyte-1))
	for range 4 { // bulk exports are limited to three requests a second
		attack(3, "GET /conversations/export/v1/messages?start_time=0&end_time=2000000000&bot_name=bot HTTP/1.1"+withKey, "")
		time.Sleep(time.Second)
	}
	attack(20, "GET /conversations/large HTTP/1.1"+withKey, "")
	attack(20, "GET /conversations?summary_mode=include&page_size=100 HTTP/1.1"+withKey, "")
	for _, key := range []string{second, third} {
		attack(20, "GET /conversations/large HTTP/1.1"+credential+key, "")
	}
	for range 10 {
		for _, path := range []string{"/conversations/small", "/conversations?summary_mode=include"} {
			if err := ask(path); err != nil {
				t.Errorf("an honest caller: %v", err)
			}
		}
	}
	m, err := memoryOf(strconv.Itoa(pid))
	f.must(err)
	if m.peak > apiMemory {
		t.Errorf("the API took %s, at most %s are allowed", mebi(m.peak), mebi(apiMemory))
	}
}

// exporter adds a tenant that may export, and gives an API key of it.
func (f *fixture) exporter(id string) string {
	f.Helper()
	tenant := domain.NewTenant(id, 3)
	tenant.Export = true
	_, err := f.catalog.CreateTenant(f.ctx, tenant, audit.Origin{})
	f.must(err)
	_, secret, err := f.catalog.CreateAPIKey(f.ctx, id, "test", audit.Origin{})
	f.must(err)
	return secret
}

func (f *fixture) load(tenant, lines string) {
	f.Helper()
	_, err := ingest.Load(f.ctx, f.catalog, tenant, strings.NewReader(lines), nil)
	f.must(err)
}

// largeLines are a conversation with 40 MB of messages, and 30 with a summary of 1 MB.
func largeLines() string {
	var lines strings.Builder
	lines.WriteString(`{"kind":"conversation","conversationId":"large","agentId":"bot","startTime":"2024-01-15T10:30:00Z"}` + "\n")
	text := strings.Repeat("what was said ", 2900)
	for i := range 1000 {
		fmt.Fprintf(&lines, `{"kind":"message","messageId":"m%04d","conversationId":"large","time":1705314600,"type":"UserInput","userInput":"%s"}`+"\n", i, text)
	}
	text = strings.Repeat("what was said ", 70_000)
	for i := range 30 {
		fmt.Fprintf(&lines, `{"kind":"conversation","conversationId":"c%d","agentId":"bot","startTime":"2024-01-15T10:30:00Z","postCallAnalysis":{"analysisData":{"call_summary":"%s"}}}`+"\n", i, text)
	}
	return lines.String()
}

// freeAddress is an address on the loopback that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}
