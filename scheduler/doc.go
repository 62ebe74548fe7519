// Package scheduler says when the planner runs: at start, at each firing of
// the nightly schedule, every minute, every second while an hour waits (also
// one that somebody else made due), whenever the next hour falls due, and when
// a tenant is new or keeps more days than before.
//
// What a pass does stands in package plan. Since a pass compares what should
// be with what is, a firing that is missed, doubled or late changes nothing,
// and several schedulers may run at once.
package scheduler
