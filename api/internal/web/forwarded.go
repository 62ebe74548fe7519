package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client is who sent a request through trusted proxies, as they say.
type client struct {
	address string
	https   bool // it sent the request over TLS
}

type clientKey struct{}

// Forwarded reads X-Forwarded-For and X-Forwarded-Proto of requests that a trusted proxy sends, and
// of no others. Remote and HTTPS tell what they say.
func Forwarded(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := parseHop(r.RemoteAddr); err == nil && within(trusted, peer) {
			from := client{address: firstUntrusted(trusted, peer, r.Header.Values("X-Forwarded-For")).String(),
				https: strings.EqualFold(lastItem(r.Header.Values("X-Forwarded-Proto")), "https")}
			r = r.WithContext(context.WithValue(r.Context(), clientKey{}, from))
		}
		next.ServeHTTP(w, r)
	})
}

// Remote is the network address that the request came from, without its port: that of the client,
// if the request came through trusted proxies, else that of the peer.
func Remote(r *http.Request) string {
	if from, ok := r.Context().Value(clientKey{}).(client); ok {
		return from.address
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// HTTPS says whether the client sent the request over TLS, to this process or to a trusted proxy.
func HTTPS(r *http.Request) bool {
	from, _ := r.Context().Value(clientKey{}).(client)
	return r.TLS != nil || from.https
}

// firstUntrusted goes from the peer to the client, from the last item to the first: each proxy
// appends the address that it was called from. It stops at the first address that is not a trusted
// proxy's, because anybody could have sent the items before it. It also stops before an item that
// is no address.
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

// parseHop reads an address. It may have brackets and a port.
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

// lastItem is the last item of a header that is a list. The peer wrote it.
func lastItem(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	last := headers[len(headers)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}
