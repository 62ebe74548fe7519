package webhooks

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// maxURL bounds an endpoint's address.
const maxURL = 2000

// reach says which network an address belongs to.
type reach int

const (
	public    reach = iota
	private         // loopback, private and shared address space: for operators who allow it
	forbidden       // never: link-local with the clouds' metadata, multicast, reserved
)

type network struct {
	prefix netip.Prefix
	reach  reach
}

// networks lists what is not public, after the registries of special addresses (RFC 6890).
func networks() []network {
	list := func(r reach, prefixes ...string) (out []network) {
		for _, p := range prefixes {
			out = append(out, network{netip.MustParsePrefix(p), r})
		}
		return out
	}
	// The clouds' metadata and what belongs to it, where it stands inside of private or public space.
	clouds := list(forbidden, "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128",
		"fd00:a9fe:a9fe::1/128", "fd00:100::100:200/128")
	return append(clouds,
		append(list(private, "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
			list(forbidden, "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
				"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20")...)...)
}

// reachOf judges an address. IPv4 inside of IPv6 is judged as what it is in the end.
func reachOf(ip netip.Addr) reach {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		b := ip.As16()
		for _, inside := range []struct {
			prefix string
			at     int // of the four bytes
		}{
			{"64:ff9b::/96", 12}, // NAT64
			{"2002::/16", 2},     // 6to4
			{"::/96", 12},        // IPv4-compatible, but for ::1 and ::
		} {
			if netip.MustParsePrefix(inside.prefix).Contains(ip) && !ip.IsLoopback() {
				return reachOf(netip.AddrFrom4([4]byte(b[inside.at : inside.at+4])))
			}
		}
	}
	for _, n := range networks() {
		if n.prefix.Contains(ip) {
			return n.reach
		}
	}
	if ip.Is6() && !netip.MustParsePrefix("2000::/3").Contains(ip) { // nothing else is handed out
		return forbidden
	}
	return public
}

// Rules say what endpoints may be called.
type Rules struct {
	Private bool // also hosts of loopback and private networks, and those without TLS too
}

// allow judges the address that a host's name led to, at the moment of connecting: names can
// lead elsewhere each time that they are asked for. Error: KindForbidden.
func (r Rules) allow(scheme string, ip netip.Addr) error {
	switch of := reachOf(ip); {
	case of == forbidden:
		return domain.Errorf(domain.KindForbidden, "the host's address is reserved for other purposes")
	case of == private && !r.Private:
		return domain.Errorf(domain.KindForbidden, "the host's address is private; CALLVAULT_WEBHOOK_PRIVATE would allow it")
	case of == public && scheme != "https":
		return domain.Errorf(domain.KindForbidden, "the host's address is public, so the URL must be https://…")
	}
	return nil
}

// CheckURL judges what somebody wants to be called at. Its error is KindInvalid. A host's name
// is judged when it is called.
func (r Rules) CheckURL(text string) error {
	bad := func(format string, args ...any) error {
		return domain.Errorf(domain.KindInvalid, "this URL cannot be a webhook: "+format, args...)
	}
	if len(text) > maxURL {
		return bad("it is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return bad("use one such as https://hooks.example.com/callvault")
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return bad("write other characters than ASCII's as %%XX, and hosts as xn--…")
		}
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return bad("it begins with %.20q; use https", u.Scheme)
	case u.Scheme == "http" && !r.Private:
		return bad("use https; http is only for private hosts, where CALLVAULT_WEBHOOK_PRIVATE is on")
	case u.User != nil:
		return bad("it holds a user name; deliveries are signed instead")
	case strings.Contains(text, "#"):
		return bad("it holds a fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad("%.20q is no port", port)
		}
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := r.allow(u.Scheme, ip); err != nil {
			return bad("%s", domain.SafeMessage(err))
		}
	}
	return nil
}
