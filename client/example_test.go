package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/callvault/callvault/client"
	"github.com/callvault/callvault/client/verify"
)

// Keep a directory of archives up to date, as callvault pull does.
func ExampleClient_Pull() {
	server := exampleServer()
	defer server.Close()
	dir, err := os.MkdirTemp("", "archives-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	c, err := client.New(client.Config{URL: server.URL, ClientID: "app_1", ClientSecret: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // the second pull finds everything there
		result, err := c.Pull(context.Background(), client.Options{Days: []string{"2025-12-12"}, Dir: dir}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, h := range result.Days[0].Hours {
			if h.Path != "" {
				fmt.Println("hour", h.Hour, h.State, "as", filepath.Base(h.Path))
			}
		}
		fmt.Println("the day is", result.State())
	}
	// Output:
	// hour 14 downloaded as 14.zip
	// the day is complete
	// hour 14 present as 14.zip
	// the day is complete
}

// Get the links of a day. Each URL is valid without another credential, so treat it as a secret.
func ExampleClient_Day() {
	server := exampleServer()
	defer server.Close()
	c, err := client.New(client.Config{URL: server.URL, ClientID: "app_1", ClientSecret: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	day, err := c.Day(context.Background(), "2025-12-12")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range day.Links {
		if l.Status == client.StatusAvailable {
			fmt.Printf("hour %s: revision %d, %d bytes\n", l.Hour, l.Revision, l.SizeBytes)
		}
	}
	// Output:
	// hour 14: revision 1, 15463 bytes
}

// exampleServer stands for a callvault server with one archive.
func exampleServer() *httptest.Server {
	const archive, day = "verify/testdata/acme_2025-12-12_14.zip", "/api/external/conversations/daily-audio-recordings/2025-12-12"
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v)
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", answer(map[string]any{"token_endpoint": server.URL + "/connect/token"}))
	mux.HandleFunc("POST /connect/token", answer(map[string]any{"access_token": "token", "token_type": "Bearer", "expires_in": 3600}))
	report, _ := verify.File(context.Background(), archive)
	links := make([]client.Link, 24)
	for i := range links {
		links[i] = client.Link{Hour: fmt.Sprintf("%02d", i), Status: client.StatusNoData}
	}
	links[14] = client.Link{Hour: "14", Status: client.StatusAvailable, URL: server.URL + day + "/14/download?token=t",
		SizeBytes: report.Size, Revision: 1, ManifestSHA256: report.ManifestSHA256}
	mux.HandleFunc("GET "+day, answer(client.Day{Date: "2025-12-12", Links: links}))
	mux.HandleFunc("GET "+day+"/14/download", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, archive) })
	return server
}
