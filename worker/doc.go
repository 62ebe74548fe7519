// Package worker does what the planner decided: it builds hours.
//
// A build claims its hour in the catalog, keeps the claim's lease, writes the archive under a key
// that nobody else writes, and publishes it in one transaction. A build that ends before leaves
// nothing that is served. When the answer to a call is lost, the build asks the catalog or the
// store what happened. Builds are bounded by slots and by the bytes of their buffers.
//
// The package does not decide when an hour is due or tried again, and deletes no object.
package worker
