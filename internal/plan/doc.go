// Package plan decides what is due and hands it to the workers: it plans days
// that are over, frees what crashed, ends what is past retention and
// dispatches hours, tenant by tenant.
//
// Everything is level-triggered. A pass compares what the catalog says should
// be with what is, and may be repeated, stopped anywhere or run by several
// processes at once: compare-and-set in the catalog makes doubles harmless.
//
// It builds nothing, and it has no timer: the scheduler and the commands say
// when a pass runs.
package plan
