package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// load is clients of every kind that send requests until the end, on connections that they keep.
type load struct {
	f      *fixture
	day    day
	key    string // API key
	client *http.Client
	stop   context.CancelFunc
	wait   sync.WaitGroup

	mu    sync.Mutex
	asked map[string]int // answered requests, by kind
	wrong []string
	added atomic.Int64 // recordings
}

// load starts clients that request a day with some built hours. It registers one conversation for
// the exports.
func (f *fixture) load(d day) *load {
	f.t.Helper()
	var key struct {
		Key string `json:"api_key"`
	}
	f.ok("tenant", "set", d.tenant, "--feature", domain.FeatureExport)
	f.must(json.Unmarshal([]byte(f.ok("key", "create", "--tenant", d.tenant, "--json")), &key))
	start := d.day.Start().Add(time.Hour).Format(time.RFC3339)
	talk := `{"kind":"agent","agentId":"bot","name":"Bot"}` + "\n" +
		`{"kind":"conversation","conversationId":"talk-1","agentId":"bot","startTime":"` + start + `"}` + "\n" +
		`{"kind":"message","messageId":"m-1","conversationId":"talk-1","time":` + strconv.FormatInt(d.day.Start().Unix()+3600, 10) + `,"type":"UserInput"}` + "\n"
	if p := f.run([]byte(talk), "import", "--tenant", d.tenant, "-"); p.code() != 0 {
		f.t.Fatal(p.log)
	}
	ctx, stop := context.WithCancel(f.t.Context())
	dialer, api := &net.Dialer{}, f.api
	c := &load{f: f, day: d, key: key.Key, stop: stop, asked: map[string]int{}, client: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, api)
		}},
	}}
	from, to := d.day.Start().Unix(), d.day.End().Unix()
	timeRange := fmt.Sprintf("?start_time=%d&end_time=%d&bot_name=Bot", from, to)
	for kind, ask := range map[string]func(ctx context.Context) error{
		"token":         func(ctx context.Context) error { _, err := c.token(ctx); return err },
		"day":           func(ctx context.Context) error { _, err := c.links(ctx); return err },
		"download":      c.download,
		"upload":        c.record,
		"export":        c.export,
		"bulk messages": c.get("/conversations/export/v1/messages" + timeRange),
		"bulk":          c.get("/conversations/export/v1/conversations" + timeRange),
		"conversations": c.get("/v1/convai/conversations"),
		"conversation":  c.get("/v1/convai/conversations/talk-1"),
	} {
		c.wait.Go(func() { c.loop(ctx, kind, ask) })
	}
	f.t.Cleanup(func() {
		stop()
		c.wait.Wait()
	})
	return c
}

func (c *load) loop(ctx context.Context, kind string, ask func(ctx context.Context) error) {
	pace := time.NewTicker(25 * time.Millisecond) // leaves processor time for the others
	defer pace.Stop()
	for {
		// A running request is finished, so that the end of the load is no failure.
		err := ask(context.WithoutCancel(ctx))
		c.mu.Lock()
		c.asked[kind]++
		if err != nil {
			c.wrong = append(c.wrong, kind+": "+err.Error())
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

// end stops the clients and returns the number of answers and the errors.
func (c *load) end() (asked map[string]int, wrong []string) {
	c.stop()
	c.wait.Wait()
	return c.asked, c.wrong
}

// moved waits until every kind of request was answered a few more times.
func (c *load) moved() {
	c.f.t.Helper()
	const more = 5
	count := func() (list []int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, kind := range []string{"token", "day", "download", "upload", "export", "bulk messages", "bulk", "conversations", "conversation"} {
			list = append(list, c.asked[kind])
		}
		return list
	}
	before := count()
	eventually(c.f.t, "the clients were answered", func(context.Context) string {
		for i, n := range count() {
			if n < before[i]+more {
				return fmt.Sprint(before, " before, now ", count())
			}
		}
		return ""
	})
}

// do sends one request and returns the body. A status that is not wanted is an error.
func (c *load) do(ctx context.Context, method, target string, headers map[string]string, body string, want ...int) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s broke off: %w", method, req.URL.Path, err)
	}
	if !slices.Contains(want, resp.StatusCode) {
		return nil, nil, fmt.Errorf("%s %s answers %d: %s", method, req.URL.Path, resp.StatusCode, answer[:min(len(answer), 200)])
	}
	return resp, answer, nil
}

func (c *load) get(path string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		// The limit is three a second.
		_, _, err := c.do(ctx, http.MethodGet, "http://"+publicHost+path, map[string]string{"x-api-key": c.key, "xi-api-key": c.key}, "", 200, 429)
		return err
	}
}

func (c *load) export(ctx context.Context) error {
	_, _, err := c.do(ctx, http.MethodPost, "http://"+publicHost+"/export/conversation",
		map[string]string{"x-api-key": c.key, "Content-Type": "application/json"}, `{"conversationId":"talk-1"}`, 200)
	return err
}

func (c *load) token(ctx context.Context) (string, error) {
	a := c.f.apps[c.day.tenant]
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"dataservice_external"}, "client_id": {a.ID}, "client_secret": {a.Secret}}
	_, body, err := c.do(ctx, http.MethodPost, "http://"+publicHost+"/connect/token",
		map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, form.Encode(), 200)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	err = json.Unmarshal(body, &answer)
	return answer.Token, err
}

// links returns the links of the day's available hours.
func (c *load) links(ctx context.Context) ([]link, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	_, body, err := c.do(ctx, http.MethodGet, "http://"+publicHost+"/api/external/conversations/daily-audio-recordings/"+string(c.day.day),
		map[string]string{"Authorization": "Bearer " + token}, "", 200)
	if err != nil {
		return nil, err
	}
	var answer dayAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(answer.Links, func(l link) bool { return l.URL == nil }), nil
}

// download fetches an archive twice, whole and in two pieces, and compares.
func (c *load) download(ctx context.Context) error {
	links, err := c.links(ctx)
	if err != nil || len(links) == 0 {
		return err
	}
	l := links[rand.IntN(len(links))]
	resp, whole, err := c.do(ctx, http.MethodGet, *l.URL, nil, "", 200)
	if err != nil {
		return err
	}
	if int64(len(whole)) != l.Size {
		return fmt.Errorf("the archive of hour %s has %d bytes, its link says %d", l.Hour, len(whole), l.Size)
	}
	half := l.Size / 2
	_, first, err := c.do(ctx, http.MethodGet, *l.URL, map[string]string{"Range": fmt.Sprintf("bytes=0-%d", half-1)}, "", 206)
	if err != nil {
		return err
	}
	_, rest, err := c.do(ctx, http.MethodGet, *l.URL,
		map[string]string{"Range": fmt.Sprintf("bytes=%d-", half), "If-Range": resp.Header.Get("ETag")}, "", 206)
	if err != nil {
		return err
	}
	if sha256.Sum256(append(first, rest...)) != sha256.Sum256(whole) {
		return fmt.Errorf("two pieces of hour %s are not the whole", l.Hour)
	}
	return nil
}

// record uploads a late recording's audio and registers it.
func (c *load) record(ctx context.Context) error {
	n := c.added.Add(1)
	k := domain.HourKey{Tenant: c.day.tenant, Day: c.day.day, Hour: int(n % 4)}
	r := say(k.Tenant, fmt.Sprintf("%s/%s/%s/crowd-%05d.opus", k.Tenant, k.Day, k.HH(), n),
		k.Day.Start().Add(time.Duration(k.Hour)*time.Hour+time.Duration(n%3600)*time.Second), noise(strconv.FormatInt(n, 10), 3000))
	internal := map[string]string{"x-internal-token": internalToken, "x-organization-id": k.Tenant}
	if _, _, err := c.do(ctx, http.MethodPut, "http://"+publicHost+"/api/ingest/v1/audio/"+r.Key, internal, string(r.body), 200, 201); err != nil {
		return err
	}
	internal["Content-Type"] = "application/x-ndjson"
	_, _, err := c.do(ctx, http.MethodPost, "http://"+publicHost+"/api/ingest/v1/records", internal,
		string(bytes.TrimSpace(lines([]recording{r}))), 200, 201, 202)
	if err == nil {
		c.f.truth.add(r)
	}
	return err
}
