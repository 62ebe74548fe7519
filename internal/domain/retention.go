package domain

import "time"

// Retention bounds of a tenant, in days.
const (
	MinRetentionDays = 1
	MaxRetentionDays = 3650
)

// RetentionEnd is the instant from which a day is past retention: retentionDays × 24 h after
// the day was reopened, else after it was complete, else after the day itself ended.
// Zero times mean "not yet".
func RetentionEnd(day Day, completed, reopened time.Time, retentionDays int) time.Time {
	base := day.End()
	if !completed.IsZero() {
		base = completed
	}
	if !reopened.IsZero() {
		base = reopened
	}
	return base.Add(time.Duration(retentionDays) * 24 * time.Hour)
}
