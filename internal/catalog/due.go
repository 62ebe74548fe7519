package catalog

import "time"

// dueAfter is when something is done that waits from now on, in microseconds. Where the day ends
// before the wait leaves room for a build, it is done earlier, so that the build still helps. It is
// never earlier than least from now.
func (d lockedDay) dueAfter(wait, least, room int64) int64 {
	return max(d.at+least, min(d.at+wait, d.end-room))
}

// room is how long a change waits for company, since late recordings rarely come alone and a rebuild
// of a large hour is dear. A build is left as much before its day's end. buildUS is the last build's time.
func (c *Catalog) room(buildUS int64) int64 {
	return max(2*buildUS, c.rules.LateDelay.Microseconds())
}

// leastBuild is what the smallest build takes with its dispatch, at most.
const leastBuild = 10 * time.Second

// canFinish says whether a build that begins now, after one that took buildUS, ends before its day does.
func (d lockedDay) canFinish(buildUS int64) bool {
	return d.end-d.at >= max(2*buildUS, leastBuild.Microseconds())
}
