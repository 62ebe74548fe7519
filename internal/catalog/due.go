package catalog

import "time"

// dueAfter gives the time, in microseconds, at which something is due after a wait. It is earlier
// where a build that starts then would not finish before the day's end, but at least least from
// now.
func (d lockedDay) dueAfter(wait, least, buildTime int64) int64 {
	return max(d.at+least, min(d.at+wait, d.end-buildTime))
}

// rebuildDelay is how long an hour waits after a change before it is rebuilt. Late recordings often
// come in groups, and the rebuild of a large hour is expensive. It is also the time that is
// reserved for the build before the day's end. buildUS is how long the last build took, in
// microseconds.
func (c *Catalog) rebuildDelay(buildUS int64) int64 {
	return max(2*buildUS, c.rules.LateDelay.Microseconds())
}

// minBuildTime is the longest time that the smallest build takes, with its dispatch.
const minBuildTime = 10 * time.Second

// canFinish says whether a build that begins now ends before the day does. buildUS is how long the
// last build took, in microseconds.
func (d lockedDay) canFinish(buildUS int64) bool {
	return d.end-d.at >= max(2*buildUS, minBuildTime.Microseconds())
}
