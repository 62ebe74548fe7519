package catalog

import "time"

// dueAfter gives the time, in microseconds, of what is due after a wait. Where a build would not finish
// before the day's end then, it is due earlier, but not earlier than least from now.
func (d lockedDay) dueAfter(wait, least, buildTime int64) int64 {
	return max(d.at+least, min(d.at+wait, d.end-buildTime))
}

// rebuildDelay is how long an hour waits after a change before it is rebuilt: late recordings rarely
// come alone, and the rebuild of a large hour is expensive. It is also the time that is left for the
// build before the day's end. buildUS is how long the last build took, in microseconds.
func (c *Catalog) rebuildDelay(buildUS int64) int64 {
	return max(2*buildUS, c.rules.LateDelay.Microseconds())
}

// minBuildTime is the most that the smallest build takes, its dispatch included.
const minBuildTime = 10 * time.Second

// canFinish says whether a build that begins now ends before the day does. buildUS is how long the last
// build took, in microseconds.
func (d lockedDay) canFinish(buildUS int64) bool {
	return d.end-d.at >= max(2*buildUS, minBuildTime.Microseconds())
}
