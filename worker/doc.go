// Package worker does what the planner decided: it builds hours and sweeps
// away what is no longer served.
//
// A build claims its hour in the catalog, keeps the claim alive, writes the
// archive under a key that nobody else writes, and publishes it in one
// transaction. Whatever ends it before leaves nothing that is served; whatever
// answer gets lost is settled by reading again what stands. Builds are bounded
// by slots and by the bytes that they hold.
//
// The sweeper alone deletes, by exact keys, what the catalog has doomed. It
// also looks whether served archives and missing recordings are in the store.
//
// It does not decide when an hour is due or tried again.
package worker
