// Package scheduler says when the planner runs: at the start, at each firing of the nightly
// schedule, every minute, every second while an hour waits (also one that another process made
// due), when the next hour falls due, and when a tenant is new or keeps more days than before.
//
// Package plan says what a pass does. A pass compares the wanted state with the actual one, so a
// firing that is missed, doubled or late changes nothing, and several schedulers may run at once.
package scheduler
