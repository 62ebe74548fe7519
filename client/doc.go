// Package client is a tenant's side of callvault: it checks the archives that
// were downloaded, without trusting whoever built or carried them.
//
// It speaks only HTTP and ZIP, and imports nothing else of callvault.
package client
