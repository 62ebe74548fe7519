// Package doctor examines an installation from where it runs: it reaches every part with the
// credentials it has, uses the rights that callvault needs, and says of each what it saw, what is
// wrong and what to do.
//
// It mends nothing and migrates nothing. What it writes to try its rights it removes again, under
// names of its own, and nothing else is ever deleted. No answer of its holds a secret.
package doctor
