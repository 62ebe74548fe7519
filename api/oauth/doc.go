// Package oauth is the token endpoint (RFC 6749, client credentials), the public keys of the
// tokens that it issues, and the metadata by which standard clients find both.
package oauth
