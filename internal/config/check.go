package config

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Role is one of the jobs that callvault's processes do.
type Role string

const (
	API       Role = "api"
	Worker    Role = "worker"
	Scheduler Role = "scheduler"
)

// Roles lists every role, in the order in which they are stopped.
func Roles() []Role { return []Role{API, Scheduler, Worker} }

// ParseRoles reads names with commas between them. A name given twice counts once.
func ParseRoles(list string) ([]Role, error) {
	var roles []Role
	for part := range strings.SplitSeq(list, ",") {
		role := Role(strings.TrimSpace(part))
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("%q is not a role; use api, worker, scheduler, or several with commas between", string(role))
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles, nil
}

// Use is what a configuration is used for.
type Use struct {
	Roles    []Role // none for a command
	Embedded bool   // parts without an address run in the process
}

// Standalone is every role, with embedded parts where the settings name none.
func Standalone() Use { return Use{Roles: Roles(), Embedded: true} }

// Command is a command that works on the parts, embedded ones where the settings name none.
func Command() Use { return Use{Embedded: true} }

// Production is the given roles; the settings must name all parts.
func Production(roles ...Role) Use { return Use{Roles: roles} }

// Finish checks c for its purpose and sets the defaults that depend on other settings. Its error is
// an *Error with every problem of every setting that was read from this source.
func (s *Source) Finish(c *Config, use Use) error {
	if !use.Embedded {
		s.requireForRoles(c, use.Roles)
	}
	s.checkCombinations(c)
	c.Listen = cmp.Or(c.Listen, defaultListen(use.Roles))
	if use.Embedded && len(use.Roles) > 0 && c.PublicURL == "" {
		s.requirePublicURL(c.Listen)
	}
	if c.AdminListen != "" && c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		s.problems.add("CALLVAULT_ADMIN_LISTEN", "the same address as CALLVAULT_LISTEN; use another port, or leave it unset")
	}
	if c.DownloadMode == "" {
		c.DownloadMode = "redirect"
		if c.S3Endpoint == "" {
			c.DownloadMode = "proxy"
		}
	}
	for name, text := range s.problems {
		if text == "" { // it was there to suppress problems that follow from another
			delete(s.problems, name)
		}
	}
	return s.problems.err()
}

// requirePublicURL adds a problem when clients can't use the listening address as a URL.
func (s *Source) requirePublicURL(listen string) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		s.problems.add("CALLVAULT_PUBLIC_URL", fmt.Sprintf("missing, while %s listens on every address and is the name of none; "+
			"set it to the URL that clients use, for example to http://callvault.example.com:%s", listen, port))
	}
}

// requireForRoles adds a problem for every setting that is missing and that one of the roles needs.
func (s *Source) requireForRoles(c *Config, roles []Role) {
	eachField(reflect.ValueOf(c).Elem(), func(f reflect.StructField, v reflect.Value) {
		if !v.IsZero() {
			return
		}
		var needing []string
		for _, role := range roles {
			if slices.Contains(strings.Fields(f.Tag.Get("need")), string(role)) {
				needing = append(needing, string(role))
			}
		}
		if len(needing) > 0 {
			s.problems.add(f.Tag.Get("var"), fmt.Sprintf("missing, and %s cannot run without it; set it, for example to %s",
				strings.Join(needing, ", "), f.Tag.Get("eg")))
		}
	})
}

// checkCombinations adds a problem for every setting that contradicts another or needs another.
func (s *Source) checkCombinations(c *Config) {
	rules := []struct {
		broken   bool
		variable string
		text     string
	}{
		{c.Data == "", "CALLVAULT_DATA", "empty; name a directory, or leave it unset for ./data"},
		{c.S3Endpoint != "" && c.S3AccessKey == "", "CALLVAULT_S3_ACCESS_KEY", "missing, while CALLVAULT_S3_ENDPOINT is set; set both or neither"},
		{c.S3Endpoint != "" && c.S3SecretKey == "", "CALLVAULT_S3_SECRET_KEY", "missing, while CALLVAULT_S3_ENDPOINT is set; set both or neither"},
		{c.S3Endpoint == "" && (c.S3AccessKey != "" || c.S3SecretKey != ""), "CALLVAULT_S3_ENDPOINT", "missing, while a key of the object store is set; set it, for example to https://s3.eu-central-1.amazonaws.com"},
		{c.S3Endpoint == "" && c.DownloadMode == "redirect", "CALLVAULT_DOWNLOAD_MODE", "redirect, while CALLVAULT_S3_ENDPOINT is not set; clients cannot reach the directory of objects, use proxy"},
		{c.S3Endpoint == "" && c.S3Public != "", "CALLVAULT_S3_PUBLIC_ENDPOINT", "set, while CALLVAULT_S3_ENDPOINT is not; the directory of objects has no public address"},
		{c.S3Endpoint == "" && c.LocksArchives(), "CALLVAULT_ARCHIVES_LOCK", "set, while CALLVAULT_S3_ENDPOINT is not; a directory can't lock objects: leave it off, or use an object store that has object lock"},
		{c.Recordings != "" && c.Recordings == c.Archives, "CALLVAULT_ARCHIVES_BUCKET", "the same bucket as CALLVAULT_RECORDINGS_BUCKET; use another, archives expire and recordings do not"},
		{!plainPath(c.BasePath()), "CALLVAULT_PUBLIC_URL", "its path has more than letters, digits, - . _ ~ and single slashes; choose one such as /vault"},
		{c.OIDCIssuer != "" && c.OIDCAudience == "", "CALLVAULT_OIDC_AUDIENCE", "missing, while CALLVAULT_OIDC_ISSUER is set; name the audience that its tokens must carry, or any token of the issuer would do"},
		{c.OIDCIssuer == "" && c.OIDCAudience != "", "CALLVAULT_OIDC_ISSUER", "missing, while CALLVAULT_OIDC_AUDIENCE is set; set both or neither"},
	}
	for _, r := range rules {
		if r.broken {
			s.problems.add(r.variable, r.text)
		}
	}
}

// LocksArchives says whether the object store locks archives.
func (p Parts) LocksArchives() bool { return p.ArchiveLock != "" && p.ArchiveLock != "off" }

// BasePath is the path of the public URL, such as /vault; "" for none.
func (c *Serving) BasePath() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// plainPath says whether a path needs no escapes, so that proxies and browsers write it in one way
// only. "" is plain.
func plainPath(path string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
	for i, part := range strings.Split(path, "/") {
		if i > 0 && strings.Trim(part, ".") == "" || strings.Trim(part, letters) != "" {
			return false
		}
	}
	return true
}

// defaultListen is a loopback port that differs by role, so that one process of each role can run
// on one host without settings.
func defaultListen(roles []Role) string {
	switch {
	case slices.Contains(roles, API):
	case slices.Contains(roles, Worker):
		return "127.0.0.1:8081"
	case slices.Contains(roles, Scheduler):
		return "127.0.0.1:8082"
	}
	return "127.0.0.1:8080"
}
