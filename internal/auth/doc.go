// Package auth knows who calls: it issues and verifies access tokens, verifies those of an outside
// issuer, keeps the signing keys that all replicas share, and seals link tokens and cursors.
//
// It accepts asymmetric signatures alone for access tokens. What an access token says is not
// enough: the application behind it is looked up for every request, so that disabling it ends its
// tokens at once.
//
// It decides nothing about features, retention or limits, and it knows no HTTP but the requests
// that it sends to an outside issuer.
package auth
