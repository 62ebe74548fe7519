package domain

// Types of events that are sent to a tenant.
const (
	EventDayCompleted = "day.completed" // every hour is available or has no data, and totals are met
	EventDayFailed    = "day.failed"    // no hour is pending, and some failed
	EventDayShort     = "day.short"     // for some time only its totals have kept the day from being complete
	EventHourRebuilt  = "hour.rebuilt"  // an hour has another archive than before
	EventTest         = "webhook.test"  // an operator tests the endpoint
)

// EventTypes lists the types that an endpoint can ask for, sorted. A test event is sent without
// being asked for.
func EventTypes() []string {
	return []string{EventDayCompleted, EventDayFailed, EventDayShort, EventHourRebuilt}
}
