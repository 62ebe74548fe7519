// Package zipformat has the one layout that headers have in callvault's ZIPs: stored entries, sizes
// and CRC-32 in the local header, ZIP64 only where it is needed. The archiver writes headers by it,
// and client/verify compares each byte of a ZIP's headers with it. Archives are kept for years, so
// a change of the layout must leave the former one to be recognised.
package zipformat
