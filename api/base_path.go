package api

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/callvault/callvault/api/internal/web"
)

// route gives the family that owns the request's path, else the router's. It removes the path of
// the public URL from the request: some proxies pass it on, others have removed it. A path that a
// family owns is not changed.
func (d *dispatcher) route(r *http.Request) Family {
	if f, owned := d.owner(r.URL.EscapedPath()); owned || d.basePath == "" || !web.Under(d.basePath)(r.URL.EscapedPath()) {
		return f
	}
	address := *r.URL
	address.Path = cmp.Or(strings.TrimPrefix(address.Path, d.basePath), "/")
	address.RawPath = strings.TrimPrefix(address.RawPath, d.basePath)
	r.URL = &address
	f, _ := d.owner(address.EscapedPath())
	return f
}

// owner gives the first family that owns path. Without one, it gives the router's, the last.
func (d *dispatcher) owner(path string) (f Family, owned bool) {
	for _, f = range d.families {
		if f.Owns(path) {
			return f, true
		}
	}
	return f, false
}

// servedBelow gives the families with documents that name the path of the public URL as the server.
func servedBelow(basePath string, families []Family) []Family {
	if basePath == "" {
		return families
	}
	families = slices.Clone(families)
	for i := range families {
		families[i].Spec = bytes.Replace(families[i].Spec, []byte("\nservers:\n  - url: /\n"), []byte("\nservers:\n  - url: "+basePath+"\n"), 1)
	}
	return families
}
