package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// sender is who sent a request through trusted proxies.
type sender struct {
	address string
	https   bool // the request came to the first of the proxies over TLS
}

type senderKey struct{}

// Forwarded believes the X-Forwarded-For and X-Forwarded-Proto of requests that a trusted proxy
// sends, and of no others. Remote and HTTPS tell what they say.
func Forwarded(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := parseHop(r.RemoteAddr); err == nil && within(trusted, peer) {
			from := sender{address: firstUntrusted(trusted, peer, r.Header.Values("X-Forwarded-For")).String(),
				https: strings.EqualFold(lastItem(r.Header.Values("X-Forwarded-Proto")), "https")}
			r = r.WithContext(context.WithValue(r.Context(), senderKey{}, from))
		}
		next.ServeHTTP(w, r)
	})
}

// Remote is the network address that the request came from, without its port: that of the peer, or
// of who sent the request through trusted proxies.
func Remote(r *http.Request) string {
	if from, ok := r.Context().Value(senderKey{}).(sender); ok {
		return from.address
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// HTTPS says whether the request was sent over TLS, to this process or to trusted proxies.
func HTTPS(r *http.Request) bool {
	from, _ := r.Context().Value(senderKey{}).(sender)
	return r.TLS != nil || from.https
}

// firstUntrusted walks from the peer to the client: each proxy appends the address that it was
// called from, so the last item is nearest. It stops at the first address that is not a trusted
// proxy's. What stands before that could have been sent by anybody. It also stops before an item
// that is no address.
func firstUntrusted(trusted []netip.Prefix, peer netip.Addr, headers []string) netip.Addr {
	for _, header := range slices.Backward(headers) {
		for _, item := range slices.Backward(strings.Split(header, ",")) {
			if item = strings.TrimSpace(item); item == "" { // RFC 9110, section 5.6.1: empty items count for nothing
				continue
			}
			hop, err := parseHop(item)
			if err != nil {
				return peer
			}
			peer = hop
			if !within(trusted, hop) {
				return peer
			}
		}
	}
	return peer
}

// parseHop reads an address, which may have brackets and a port.
func parseHop(text string) (netip.Addr, error) {
	if pair, err := netip.ParseAddrPort(text); err == nil {
		return pair.Addr().Unmap().WithZone(""), nil
	}
	if inside, bracketed := strings.CutPrefix(text, "["); bracketed {
		text = strings.TrimSuffix(inside, "]")
	}
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().WithZone(""), err
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// lastItem is the last item of a header that is a list: what the peer wrote.
func lastItem(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	last := headers[len(headers)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}
