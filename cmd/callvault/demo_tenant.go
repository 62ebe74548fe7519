package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/domain"
)

// demoTimeout bounds one request of the demo's tenant.
const demoTimeout = time.Minute

// demoTenant uses the server as any HTTP client can.
type demoTenant struct {
	url   string
	token string
}

// demoDay has the fields of a day's answer that the demo uses.
type demoDay struct {
	TotalFiles int `json:"totalFiles"`
	Links      []struct {
		Hour string  `json:"hour"`
		URL  *string `json:"url"`
	} `json:"links"`
}

func (t *demoTenant) do(ctx context.Context, req *http.Request, use func(io.Reader) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	resp, err := http.DefaultClient.Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBody(resp.Body)) }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s answered %s", req.Method, req.URL.Path, resp.Status)
	}
	return use(resp.Body)
}

func (t *demoTenant) authenticate(ctx context.Context, id, secret string) error {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"dataservice_external"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.SetBasicAuth(id, secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return t.do(ctx, req, func(r io.Reader) error {
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		err := json.NewDecoder(r).Decode(&answer)
		t.token = answer.AccessToken
		return err
	})
}

func (t *demoTenant) day(ctx context.Context, day domain.Day) (body []byte, d demoDay, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+"/api/external/conversations/daily-audio-recordings/"+string(day), nil)
	if err != nil {
		return nil, d, err
	}
	req.Header.Set("Authorization", "Bearer "+t.token)
	err = t.do(ctx, req, func(r io.Reader) (err error) {
		if body, err = io.ReadAll(r); err != nil {
			return err
		}
		return json.Unmarshal(body, &d)
	})
	return body, d, err
}

// download fetches a link. It needs no access token.
func (t *demoTenant) download(ctx context.Context, link, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	return t.do(ctx, req, func(r io.Reader) (err error) {
		f, err := os.Create(path) //nolint:gosec // in the demo's own directory
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		_, err = io.Copy(f, r)
		return err
	})
}
