package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestForwarded(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/48")}
	for name, c := range map[string]struct {
		peer  string
		lines []string // of X-Forwarded-For
		want  string
	}{
		"a stranger":                     {"198.51.100.1:1", []string{"203.0.113.9"}, "198.51.100.1"},
		"no header":                      {"10.0.0.1:1", nil, "10.0.0.1"},
		"one proxy":                      {"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		"what the client claimed before": {"10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                    {"10.0.0.1:1", []string{"203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		"several lines":                  {"10.0.0.1:1", []string{"1.1.1.1", "203.0.113.9", "10.2.2.2 , "}, "203.0.113.9"},
		"proxies alone":                  {"10.0.0.1:1", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"ports":                          {"10.0.0.1:1", []string{"203.0.113.9:4711,10.2.2.2:80"}, "203.0.113.9"},
		"IPv6":                           {"[2001:db8::1]:1", []string{"2001:db8:1::9"}, "2001:db8:1::9"},
		"IPv6 in brackets":               {"[2001:db8::1]:1", []string{"[2001:db8:1::9], [2001:db8::2]:443"}, "2001:db8:1::9"},
		"IPv4 in IPv6":                   {"[::ffff:10.0.0.1]:1", []string{"203.0.113.9, ::ffff:10.2.2.2"}, "203.0.113.9"},
		"nonsense":                       {"10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		"nonsense behind a proxy":        {"10.0.0.1:1", []string{"203.0.113.9, _hidden, 10.2.2.2"}, "10.2.2.2"},
		"empty items":                    {"10.0.0.1:1", []string{"", ",,203.0.113.9,,"}, "203.0.113.9"},
		"no address":                     {"@", []string{"203.0.113.9"}, "@"},
	} {
		for proto, https := range map[string]bool{"https": true, "HTTPS": true, "http, https": true, "https,http": false, "": false} {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = c.peer
			r.Header["X-Forwarded-For"] = c.lines
			r.Header.Set("X-Forwarded-Proto", proto)
			trusted := name != "a stranger" && name != "no address"
			Forwarded(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if got := Remote(r); got != c.want || HTTPS(r) != (https && trusted) {
					t.Errorf("%s, proto %q: %s, TLS %v, want %s", name, proto, got, HTTPS(r), c.want)
				}
			})).ServeHTTP(nil, r)
		}
	}
}

// FuzzForwarded checks that a caller can't change its address by items before those of the proxies.
func FuzzForwarded(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	peer := netip.MustParseAddr("10.0.0.1")
	for _, header := range []string{"203.0.113.9", "10.2.2.2:80 , ", "[2001:db8::1%eth0]:443", "x, [::ffff:10.1.1.1"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := firstUntrusted(trusted, peer, []string{header})
		if !got.IsValid() {
			t.Fatalf("%q names nobody", header)
		}
		if claimed := firstUntrusted(trusted, peer, []string{"192.0.2.66", "192.0.2.66," + header}); !within(trusted, got) && claimed != got {
			t.Fatalf("%q names %s, and %s behind a claim", header, got, claimed)
		}
	})
}
