// Package plan decides which hours are due and dispatches them to the workers: it plans days that
// are over, frees hours whose builder crashed, ends days that are past retention, and dispatches
// due hours, tenants in turn.
//
// A pass compares the catalog's wanted state with its actual state. It may be repeated, may stop
// anywhere, and may run in several processes at once: compare-and-set in the catalog makes a
// second run harmless.
//
// The package builds nothing and has no timer: the scheduler and the commands say when a pass runs.
package plan
