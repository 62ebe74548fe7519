package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/app"
	"github.com/callvault/callvault/internal/config"
)

// readyCmd asks the role that runs on this host. It serves health checks in images without a shell.
type readyCmd struct {
	Address string        `arg:"" optional:"" help:"Where the role listens; CALLVAULT_LISTEN when that is set, else 127.0.0.1:8080." placeholder:"HOST:PORT"`
	Timeout time.Duration `help:"How long to wait for the answer (default 5s)." default:"5s" placeholder:"TIME"`
}

func (*readyCmd) Help() string {
	return `Asks /readyz, for health checks of containers. Exits with 1 when the role is not ready or does not answer,
and says why. An API says it to who has its admin token, so leave CALLVAULT_ADMIN_TOKEN set for the health check too.

Examples:

    callvault ready
    callvault ready 127.0.0.1:8081`
}

func (c *readyCmd) Run(ctx context.Context, d *deps) error {
	address := cmp.Or(c.Address, strings.TrimSpace(d.env["CALLVAULT_LISTEN"]), "127.0.0.1:8080")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return &usageError{fmt.Sprintf("%q is no HOST:PORT, such as 127.0.0.1:8080", address)}
	}
	// A role that listens on all addresses answers on loopback.
	switch ip, err := netip.ParseAddr(host); {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	settings, err := d.settings.Complete(config.Parts{})
	if err != nil {
		return err
	}
	complaint, err := notReady(ctx, "http://"+net.JoinHostPort(host, port)+"/readyz", settings.AdminToken.Reveal())
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) { // it repeats the address
			err = with.Err
		}
		return fmt.Errorf("no role answers at %s: %w\nStart one, or name where it listens: callvault ready HOST:PORT, or CALLVAULT_LISTEN", address, err)
	}
	answer := "ready"
	if complaint != "" {
		answer, err = complaint, errReported
	}
	if failed := printLine(d.stdout, answer); failed != nil {
		return failed
	}
	return err
}

// notReady says why a role is not ready; "" when it is. An API tells the details to who knows the
// admin token.
func notReady(ctx context.Context, address, adminToken string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("make the request: %w", err)
	}
	if adminToken != "" {
		req.Header.Set("Authorization", "Bearer "+app.ReadinessKey(adminToken))
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and without a proxy
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return "", nil
	}
	var report struct {
		Status string `json:"status"`
		Checks map[string]struct {
			OK    bool   `json:"ok"`
			Error string `json:"error"`
		} `json:"checks"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil || report.Status == "" {
		return "", fmt.Errorf("it answers %s, as no role does", resp.Status)
	}
	var failed []string
	for name, check := range report.Checks {
		if !check.OK {
			failed = append(failed, name+": "+cmp.Or(check.Error, "its log says why; an API tells it to who has CALLVAULT_ADMIN_TOKEN"))
		}
	}
	slices.Sort(failed)
	return strings.Join(append([]string{"not ready: " + report.Status}, failed...), "\n"), nil
}
