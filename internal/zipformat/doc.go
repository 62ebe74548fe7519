// Package zipformat has the one layout that headers have in callvault's ZIPs: stored entries, sizes
// and CRC-32 in the local header, ZIP64 only where it is needed. The archiver writes headers by it,
// and client/verify compares each byte of a ZIP's headers with it. Archives are kept for years, so
// after a change of the layout client/verify must still accept the former one.
package zipformat
