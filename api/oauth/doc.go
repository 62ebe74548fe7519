// Package oauth is the family of the token endpoint (RFC 6749, client credentials), of the public
// keys of its tokens, and of the metadata by which standard clients find both.
package oauth
