package config

import (
	"fmt"
	"net"
	"reflect"
	"strings"
)

// Role is one of the jobs that callvault's processes do.
type Role string

// The roles.
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
	seen := map[Role]bool{}
	for part := range strings.SplitSeq(list, ",") {
		role := Role(strings.TrimSpace(part))
		switch role {
		case API, Worker, Scheduler:
		default:
			return nil, fmt.Errorf("%q is not a role; use api, worker, scheduler, or several with commas between", string(role))
		}
		if !seen[role] {
			seen[role] = true
			roles = append(roles, role)
		}
	}
	return roles, nil
}

// Use says what a configuration is for.
type Use struct {
	Roles    []Role // none for a command that only works on the parts
	Embedded bool   // parts without an address run inside the process
}

// Standalone is every role, with embedded parts where none is named.
func Standalone() Use { return Use{Roles: Roles(), Embedded: true} }

// Command is a command that works on the parts: embedded ones where none is named.
func Command() Use { return Use{Embedded: true} }

// Production is the given roles on parts that must all be named.
func Production(roles ...Role) Use { return Use{Roles: roles} }

// Finish checks c for its use and fills the defaults that hang on other settings.
// The error is an *Error with every problem of every setting read from this source.
func (s *Source) Finish(c *Config, use Use) error {
	if !use.Embedded {
		s.missing(c, use.Roles)
	}
	s.together(c)
	if c.Listen == "" {
		c.Listen = defaultListen(use.Roles)
	}
	if use.Embedded && len(use.Roles) > 0 && c.PublicURL == "" {
		s.named(c.Listen)
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
		if text == "" { // only kept to silence what would follow from it
			delete(s.problems, name)
		}
	}
	return s.problems.err()
}

// named wants a public URL where the listening address is none that a client could use.
func (s *Source) named(listen string) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		s.problems.add("CALLVAULT_PUBLIC_URL", fmt.Sprintf("missing, while %s listens on every address and is the name of none; "+
			"set it to the URL that clients use, for example to http://callvault.example.com:%s", listen, port))
	}
}

// missing names every setting that one of the roles cannot do without.
func (s *Source) missing(c *Config, roles []Role) {
	eachField(reflect.ValueOf(c).Elem(), func(f reflect.StructField, v reflect.Value) {
		if !v.IsZero() {
			return
		}
		var needing []string
		for _, role := range roles {
			for name := range strings.FieldsSeq(f.Tag.Get("need")) {
				if name == string(role) {
					needing = append(needing, name)
				}
			}
		}
		if len(needing) > 0 {
			s.problems.add(f.Tag.Get("var"), fmt.Sprintf("missing, and %s cannot run without it; set it, for example to %s",
				strings.Join(needing, ", "), f.Tag.Get("eg")))
		}
	})
}

// together finds settings that make no sense without, or beside, another.
func (s *Source) together(c *Config) {
	rules := []struct {
		broken   bool
		variable string
		text     string
	}{
		{c.Data == "", "CALLVAULT_DATA", "empty; name a directory, or leave it unset for ./data"},
		{c.S3Endpoint != "" && c.S3AccessKey == "", "CALLVAULT_S3_ACCESS_KEY", "missing, while CALLVAULT_S3_ENDPOINT is set; set both or neither"},
		{c.S3Endpoint != "" && c.S3SecretKey == "", "CALLVAULT_S3_SECRET_KEY", "missing, while CALLVAULT_S3_ENDPOINT is set; set both or neither"},
		{c.S3Endpoint == "" && (c.S3AccessKey != "" || c.S3SecretKey != ""), "CALLVAULT_S3_ENDPOINT", "missing, while a key of the object store is set; set it, for example to https://s3.eu-central-1.amazonaws.com"},
		{c.S3Endpoint == "" && c.DownloadMode == "redirect", "CALLVAULT_DOWNLOAD_MODE", "redirect, while CALLVAULT_S3_ENDPOINT is not set; clients cannot reach the embedded store, use proxy"},
		{c.S3Endpoint == "" && c.S3Public != "", "CALLVAULT_S3_PUBLIC_ENDPOINT", "set, while CALLVAULT_S3_ENDPOINT is not; the embedded store has no public address"},
		{c.Recordings != "" && c.Recordings == c.Archives, "CALLVAULT_ARCHIVES_BUCKET", "the same bucket as CALLVAULT_RECORDINGS_BUCKET; use another, archives expire and recordings do not"},
		{c.OIDCIssuer != "" && c.OIDCAudience == "", "CALLVAULT_OIDC_AUDIENCE", "missing, while CALLVAULT_OIDC_ISSUER is set; name the audience that its tokens must carry, or any token of the issuer would do"},
		{c.OIDCIssuer == "" && c.OIDCAudience != "", "CALLVAULT_OIDC_ISSUER", "missing, while CALLVAULT_OIDC_AUDIENCE is set; set both or neither"},
	}
	for _, r := range rules {
		if r.broken {
			s.problems.add(r.variable, r.text)
		}
	}
}

// defaultListen is the loopback port of the first role that listens for callers, so that one
// process of each role runs on one host without settings.
func defaultListen(roles []Role) string {
	has := map[Role]bool{}
	for _, r := range roles {
		has[r] = true
	}
	switch {
	case has[Worker] && !has[API]:
		return "127.0.0.1:8081"
	case has[Scheduler] && !has[API]:
		return "127.0.0.1:8082"
	}
	return "127.0.0.1:8080"
}
