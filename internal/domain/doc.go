// Package domain holds the words of callvault: tenants, days, hours, recordings,
// error kinds, and the rules about them that need no input or output.
//
// It imports nothing of callvault and everyone may import it. It reads no clock:
// whoever decides about data passes the catalog's time in.
package domain
