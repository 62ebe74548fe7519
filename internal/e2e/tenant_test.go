package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// publicHost is the host in every link. client connects it to the address that the API has now.
const publicHost = "callvault.test"

func (f *fixture) client() *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // the next request may go to another process
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == publicHost+":80" {
				address = f.api
			}
			return dialer.DialContext(ctx, network, address)
		},
	}}
}

// dayAnswer is the answer to a request for a day.
type dayAnswer struct {
	TotalSessions int     `json:"totalSessions"`
	TotalFiles    int     `json:"totalFiles"`
	GeneratedAt   *string `json:"generatedAt"`
	Links         []link  `json:"links"`
}

type link struct {
	Hour     string  `json:"hour"`
	URL      *string `json:"url"`
	Status   string  `json:"status"`
	Files    int     `json:"fileCount"`
	Size     int64   `json:"sizeBytes"`
	Manifest *string `json:"manifestSha256"`
	Revision int64   `json:"revision"`
	Missing  int     `json:"missingFileCount"`
}

func (f *fixture) request(method, target string, headers map[string]string, body io.Reader) (int, []byte) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, target, body)
	f.must(err)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := f.client().Do(req)
	f.must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	f.must(err)
	return resp.StatusCode, answer
}

// token requests an access token for the tenant's application.
func (f *fixture) token(tenant string) string {
	f.t.Helper()
	a := f.apps[tenant]
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"dataservice_external"}, "client_id": {a.ID}, "client_secret": {a.Secret}}
	status, body := f.request(http.MethodPost, "http://"+publicHost+"/connect/token",
		map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader(form.Encode()))
	var answer struct {
		Token string `json:"access_token"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		f.t.Fatalf("no token for %s: %d", tenant, status)
	}
	return answer.Token
}

// askDay requests a day and returns the status and, for 200, the answer.
func (f *fixture) askDay(tenant string, d domain.Day) (int, dayAnswer) {
	f.t.Helper()
	status, body := f.request(http.MethodGet, "http://"+publicHost+"/api/external/conversations/daily-audio-recordings/"+string(d),
		map[string]string{"Authorization": "Bearer " + f.token(tenant)}, nil)
	var answer dayAnswer
	if status == http.StatusOK {
		f.must(json.Unmarshal(body, &answer))
	}
	return status, answer
}

// download fetches a link without any header, as a browser would.
func (f *fixture) download(target, name string) (path string, err error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, target, nil)
	if err != nil {
		return "", err
	}
	resp, err := f.client().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the link answers %s", resp.Status)
	}
	dir := filepath.Join(f.dir, "downloads")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	file, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(file, resp.Body); err != nil {
		file.Close()
		return "", err
	}
	return file.Name(), file.Close()
}

// upload sends audio through the ingest API.
func (f *fixture) upload(tenant, key string, body []byte) {
	f.t.Helper()
	status, answer := f.request(http.MethodPut, "http://"+publicHost+"/api/ingest/v1/audio/"+key,
		map[string]string{"x-internal-token": internalToken, "x-organization-id": tenant}, strings.NewReader(string(body)))
	if status != http.StatusOK && status != http.StatusCreated {
		f.t.Fatalf("the upload of %s answered %d: %s", key, status, answer)
	}
}

// post registers lines through the ingest API.
func (f *fixture) post(tenant string, list ...recording) {
	f.t.Helper()
	status, answer := f.request(http.MethodPost, "http://"+publicHost+"/api/ingest/v1/records", map[string]string{
		"x-internal-token": internalToken, "x-organization-id": tenant, "Content-Type": "application/x-ndjson",
	}, strings.NewReader(string(lines(list))))
	if status != http.StatusOK && status != http.StatusCreated && status != http.StatusAccepted {
		f.t.Fatalf("registering answered %d: %s", status, answer)
	}
	f.truth.add(list...)
}
