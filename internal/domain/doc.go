// Package domain has the words of callvault: tenants, days, hours, recordings, error kinds, and the
// rules about them that need no input or output.
//
// It imports nothing of callvault, and every package may import it. It reads no clock: code that
// decides about data passes the catalog's time.
package domain
