// Package client is a tenant's side of callvault: it fetches the archives of a
// day, goes on where it was interrupted, and checks what came without trusting
// whoever built or carried it.
//
// New gives a Client, whose Pull keeps a directory of archives up to date and
// whose Day asks for one day alone. VerifyFile and its siblings check a ZIP and
// need no server.
//
// It speaks only HTTP and ZIP, and imports nothing else of callvault.
package client
