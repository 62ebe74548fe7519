// Package auth identifies callers. It issues and verifies access tokens, verifies those of an
// external OIDC issuer, keeps the signing keys that all replicas share, and signs link tokens and
// cursors.
//
// For access tokens it accepts asymmetric signatures only. It verifies a token for every request,
// and remembers none. The catalog looks up the application that the token names, so that disabling
// an application ends its tokens at once.
//
// It decides nothing about features, retention or limits. The only HTTP it knows are its own
// requests to the OIDC issuer.
package auth
