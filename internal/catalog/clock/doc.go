// Package clock is the catalog's time, which decides about data, and says whether it is trusted for
// expiry and deletions.
package clock
