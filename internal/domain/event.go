package domain

// Types of events that a tenant can be told of.
const (
	EventDayCompleted = "day.completed" // every hour is settled and none failed
	EventDayFailed    = "day.failed"    // nothing waits any more, and hours failed
	EventHourRebuilt  = "hour.rebuilt"  // an hour has another archive than before
	EventTest         = "webhook.test"  // somebody wanted to see whether it arrives
)

// EventTypes lists what an endpoint can ask for, sorted. A test needs no asking.
func EventTypes() []string { return []string{EventDayCompleted, EventDayFailed, EventHourRebuilt} }
