// Package verify checks the ZIP of an hour of recordings, without trusting whoever built it, stored
// it or sent it. It needs no server, and imports of callvault only the layout of headers.
//
// File and Reader check one ZIP. What they find is in a Report.
package verify
