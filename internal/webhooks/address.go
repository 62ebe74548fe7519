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

// addressClass says how callvault treats an address.
type addressClass int

const (
	public    addressClass = iota
	private                // loopback, private and shared address space: called where an operator allows it
	forbidden              // link-local, cloud metadata, multicast, reserved: never called
)

type network struct {
	prefix netip.Prefix
	class  addressClass
}

// networks lists the networks that are not public, by the registries of special addresses (RFC
// 6890).
func networks() []network {
	list := func(class addressClass, prefixes ...string) (out []network) {
		for _, p := range prefixes {
			out = append(out, network{netip.MustParsePrefix(p), class})
		}
		return out
	}
	// Addresses of cloud metadata that lie within private or public networks.
	clouds := list(forbidden, "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128",
		"fd00:a9fe:a9fe::1/128", "fd00:100::100:200/128")
	return append(clouds,
		append(list(private, "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
			list(forbidden, "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
				"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20")...)...)
}

// classOf classifies an address. An IPv6 address that embeds an IPv4 one has the class of that one.
func classOf(ip netip.Addr) addressClass {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		b := ip.As16()
		for _, embedded := range []struct {
			prefix string
			at     int // of the IPv4 address
		}{
			{"64:ff9b::/96", 12}, // NAT64
			{"2002::/16", 2},     // 6to4
			{"::/96", 12},        // IPv4-compatible
		} {
			if netip.MustParsePrefix(embedded.prefix).Contains(ip) && !ip.IsLoopback() {
				return classOf(netip.AddrFrom4([4]byte(b[embedded.at : embedded.at+4])))
			}
		}
	}
	for _, n := range networks() {
		if n.prefix.Contains(ip) {
			return n.class
		}
	}
	if ip.Is6() && !netip.MustParsePrefix("2000::/3").Contains(ip) { // no other range is allocated
		return forbidden
	}
	return public
}

// Rules say which endpoints may be called.
type Rules struct {
	Private bool // also hosts in loopback and private networks, and these without TLS too
}

// allow checks the address that a host's name resolved to. The sender calls it when it connects,
// because a name can resolve to another address each time. Error: KindForbidden.
func (r Rules) allow(scheme string, ip netip.Addr) error {
	switch class := classOf(ip); {
	case class == forbidden:
		return domain.Errorf(domain.KindForbidden, "the host's address is reserved for other purposes")
	case class == private && !r.Private:
		return domain.Errorf(domain.KindForbidden, "the host's address is private; CALLVAULT_WEBHOOK_PRIVATE would allow it")
	case class == public && scheme != "https":
		return domain.Errorf(domain.KindForbidden, "the host's address is public, so the URL must be https://…")
	}
	return nil
}

// CheckURL checks an endpoint's URL. Its error is KindInvalid. The address of a host's name is
// checked when the endpoint is called.
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
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return bad("write other characters than ASCII's as %%XX, and hosts as xn--…")
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
