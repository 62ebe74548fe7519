package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/client"
)

const pullDay = "2025-12-12"

// hourZIP makes the archive of an hour with one recording of n bytes, and the sum of its manifest.
func hourZIP(t testing.TB, h, n int, seed uint64) (zip []byte, manifest string) {
	t.Helper()
	audio := make([]byte, n)
	random := rand.New(rand.NewPCG(seed, uint64(h)))
	for i := range audio {
		audio[i] = byte(random.Uint32())
	}
	at := time.Date(2025, 12, 12, h, 0, 0, 0, time.UTC)
	entry := archiver.Entry{Key: "k/a.opus", ExternalConversationID: "conv", SessionID: "s", MessageID: 1, Type: "user", Size: int64(n), Timestamp: at}
	src := func(_ context.Context, _ archiver.Entry, from, n int64, _ string) (archiver.Object, error) {
		return archiver.Object{Body: io.NopCloser(bytes.NewReader(audio[from : from+n])), Size: int64(len(audio)), ETag: "1"}, nil
	}
	out := &sink{}
	hour := archiver.Hour{Day: pullDay, Hour: h, GeneratedAt: at.AddDate(0, 0, 1)}
	r, err := archiver.Build(t.Context(), archiver.Config{}, hour, []archiver.Entry{entry}, src, out)
	if err != nil {
		t.Fatal(err)
	}
	return out.zip, r.ManifestSHA256
}

// sink keeps a ZIP in memory.
type sink struct {
	zip      []byte
	partSize int64
}

func (s *sink) Begin(_ context.Context, size, partSize int64, _ int) error {
	s.zip, s.partSize = make([]byte, size), partSize
	return nil
}

func (s *sink) Part(_ context.Context, number int, data []byte, _ uint32) error {
	copy(s.zip[int64(number-1)*s.partSize:], data)
	return nil
}

// servedHour is an hour as the server has it.
type servedHour struct {
	status     string
	zip        []byte
	manifest   string
	revision   int64
	rebuilding bool
}

// server is a callvault server for tests, with faults.
type server struct {
	*httptest.Server
	t testing.TB

	// fault may answer a request itself: then it returns true. kind is "token", "day", "seal" or
	// the hour; n counts the requests of this kind, from 1.
	fault func(kind string, n int, w http.ResponseWriter, r *http.Request) bool
	store string // URL to which links redirect; "" for none

	mu       sync.Mutex
	hours    map[int]*servedHour
	lifetime int // of tokens in seconds
	tokens   int
	requests map[string]int
	sent     map[string]int64 // bytes of archives by hour
	seen     []*http.Request  // of links
	links    int              // counts the answers for the day
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, hours: map[int]*servedHour{}, lifetime: 3600, requests: map[string]int{}, sent: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"token_endpoint": "%s/connect/token"}`, s.URL)
	})
	mux.HandleFunc("POST /connect/token", s.serveToken)
	mux.HandleFunc("GET /api/external/conversations/daily-audio-recordings/{day}", s.serveDay)
	mux.HandleFunc("GET /api/external/conversations/daily-audio-recordings/{day}/seal", func(w http.ResponseWriter, r *http.Request) {
		if !s.faulty("seal", w, r) {
			deny(w, http.StatusNotFound, "Not Found")
		}
	})
	mux.HandleFunc("GET /api/external/conversations/daily-audio-recordings/{day}/{hour}/download", s.serveHour)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// put serves an archive of n bytes of audio as the hour's revision.
func (s *server) put(h, n int, revision int64) *servedHour {
	zip, manifest := hourZIP(s.t, h, n, uint64(revision))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hours[h] = &servedHour{status: client.StatusAvailable, zip: zip, manifest: manifest, revision: revision}
	return s.hours[h]
}

func (s *server) count(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[kind]
}

func (s *server) bytes(hour string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[hour]
}

// faulty counts a request and lets fault answer it.
func (s *server) faulty(kind string, w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	s.requests[kind]++
	n := s.requests[kind]
	s.mu.Unlock()
	return s.fault != nil && s.fault(kind, n, w, r)
}

func deny(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error": %q}`, text)
}

func (s *server) serveToken(w http.ResponseWriter, r *http.Request) {
	if s.faulty("token", w, r) {
		return
	}
	if id, secret, _ := r.BasicAuth(); id != "app" || secret != "s3cret" || r.FormValue("scope") != "dataservice_external" {
		deny(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token": "token-%d", "token_type": "Bearer", "expires_in": %d}`, s.tokens, s.lifetime)
}

func (s *server) serveDay(w http.ResponseWriter, r *http.Request) {
	if s.faulty("day", w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", s.tokens) {
		deny(w, http.StatusUnauthorized, "Unauthorized access.")
		return
	}
	s.links++
	links := make([]map[string]any, 24)
	for i := range links {
		l := map[string]any{"hour": fmt.Sprintf("%02d", i), "url": nil, "sizeBytes": 0, "status": client.StatusNoData, "revision": 0, "manifestSha256": nil}
		if h := s.hours[i]; h != nil {
			l["status"], l["revision"], l["rebuilding"] = h.status, h.revision, h.rebuilding
			if h.status == client.StatusAvailable {
				l["url"] = fmt.Sprintf("%s/api/external/conversations/daily-audio-recordings/%s/%02d/download?token=hidden-%d-%d", s.URL, pullDay, i, h.revision, s.links)
				l["sizeBytes"], l["manifestSha256"] = len(h.zip), h.manifest
			}
		}
		links[i] = l
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"date": r.PathValue("day"), "retentionDays": 3, "generatedAt": "2025-12-13T02:00:00Z", "links": links})
}

func (s *server) serveHour(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r.Clone(context.WithoutCancel(r.Context())))
	s.mu.Unlock()
	if s.faulty(r.PathValue("hour"), w, r) {
		return
	}
	if s.store != "" {
		http.Redirect(w, r, s.store+"/"+r.PathValue("hour")+"?X-Amz-Signature=hidden", http.StatusTemporaryRedirect)
		return
	}
	s.sendArchive(w, r, r.PathValue("hour"), -1)
}

// sendArchive sends an archive. Unless cut is negative, it closes the connection after cut bytes.
func (s *server) sendArchive(w http.ResponseWriter, r *http.Request, hour string, cut int64) {
	s.mu.Lock()
	var h int
	_, _ = fmt.Sscanf(hour, "%d", &h)
	archive := s.hours[h]
	s.mu.Unlock()
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d"`, hour, archive.revision))
	w.Header().Set("Content-Type", "application/zip")
	out := &countedWriter{ResponseWriter: w, server: s, hour: hour, left: cut}
	http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(archive.zip))
}

// hangUp closes the connection after what was written. It returns true.
func hangUp(w http.ResponseWriter) bool {
	control := http.NewResponseController(w)
	_ = control.Flush() // when this fails, the connection is closed anyway
	if conn, _, err := control.Hijack(); err == nil {
		_ = conn.Close()
	}
	return true
}

// countedWriter counts the bytes of an answer, and cuts it after left bytes.
type countedWriter struct {
	http.ResponseWriter
	server *server
	hour   string
	left   int64
}

func (c *countedWriter) Write(b []byte) (int, error) {
	cut := c.left >= 0 && int64(len(b)) >= c.left
	if cut {
		b = b[:c.left]
	}
	n, err := c.ResponseWriter.Write(b)
	c.server.mu.Lock()
	c.server.sent[c.hour] += int64(n)
	c.server.mu.Unlock()
	if cut {
		hangUp(c.ResponseWriter)
		return n, io.ErrClosedPipe
	}
	if c.left >= 0 {
		c.left -= int64(n)
	}
	return n, err
}

// progressLog is a Progress that records its calls.
type progressLog struct {
	mu     sync.Mutex
	notes  []string
	starts []string // "file from"
	came   int64
}

func (p *progressLog) Plan(string, int, int64) {}

func (p *progressLog) Start(file string, from, _ int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts = append(p.starts, fmt.Sprintf("%s %d", file, from))
}

func (p *progressLog) Advance(_ string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came += n
}

func (p *progressLog) End(string, error) {}

func (p *progressLog) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, text)
}

func (p *progressLog) noted(part string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(strings.Join(p.notes, "\n"), part)
}

// newClient makes a client that waits only a millisecond between attempts.
func (s *server) newClient(change func(*client.Config)) *client.Client {
	s.t.Helper()
	cfg := client.Config{URL: s.URL, ClientID: "app", ClientSecret: "s3cret", Backoff: time.Millisecond, UserAgent: "test/1"}
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// pull pulls the day into dir with a new client, and checks the state.
func (s *server) pull(dir string, want client.DayState, change func(*client.Options)) (client.DayResult, *progressLog) {
	s.t.Helper()
	opts := client.Options{Days: []string{pullDay}, Dir: dir, Poll: time.Millisecond}
	if change != nil {
		change(&opts)
	}
	p := &progressLog{}
	r, err := s.newClient(nil).Pull(s.t.Context(), opts, p)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.State() != want || len(r.Days) != len(opts.Days) {
		s.t.Fatalf("the pull is %s, want %s: %+v", r.State(), want, r.Days)
	}
	return r.Days[0], p
}
