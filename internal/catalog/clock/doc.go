// Package clock is the catalog's time, which decides about data. It also says whether that time is
// trusted: if not, nothing expires and nothing is deleted.
//
// It ends and deletes nothing itself.
package clock
