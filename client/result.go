package client

// DayState is how far a pull got with a day.
type DayState string

// The states of a day, from good to bad.
const (
	DayComplete   DayState = "complete"   // every hour is there or has no data
	DayIncomplete DayState = "incomplete" // hours are pending, failed on the server, or limited
	DayFailed     DayState = "failed"     // the network, a file or an archive
	DayRefused    DayState = "refused"    // by the server, for good; see RefusedError
)

// HourState is how far a pull got with an hour.
type HourState string

// The states of an hour.
const (
	HourDownloaded HourState = "downloaded" // by this pull
	HourPresent    HourState = "present"    // from an earlier one
	HourNoData     HourState = "no_data"
	HourPending    HourState = "pending" // not built yet
	HourFailed     HourState = "failed"  // could not be built; the server's operators know
	HourLimited    HourState = "limited" // the hourly limit; see LimitedError
	HourRefused    HourState = "refused" // see RefusedError
	HourError      HourState = "error"   // see Err
)

// HourResult is one hour of a DayResult.
type HourResult struct {
	Hour       string // "00" to "23"
	State      HourState
	Path       string // of the archive, "" unless downloaded or present
	SizeBytes  int64
	Revision   int64
	Rebuilding bool  // a newer revision is to come
	Missing    int64 // recordings that the archive declares missing
	Err        error // why it is limited, refused or error
}

// DayResult is what a pull made of a day.
type DayResult struct {
	Date  string
	State DayState
	Hours []HourResult // 24, as last answered; none when the server did not answer for the day
	// Kept says that the server has nothing for the day any more, and that the
	// directory has all of it from before.
	Kept bool
	Err  error // why no hour was looked at, the last time
}

// Result is what a pull made of its days, in their order.
type Result struct{ Days []DayResult }

// State is that of the worst day.
func (r *Result) State() DayState {
	worst := DayComplete
	rank := map[DayState]int{DayComplete: 0, DayIncomplete: 1, DayFailed: 2, DayRefused: 3}
	for _, d := range r.Days {
		if rank[d.State] > rank[worst] {
			worst = d.State
		}
	}
	return worst
}

// settle derives the day's state from its hours.
func (d *DayResult) settle() {
	d.State = DayComplete
	for _, h := range d.Hours {
		switch h.State {
		case HourRefused:
			d.State = DayRefused
			return
		case HourError:
			d.State = DayFailed
		case HourPending, HourFailed, HourLimited:
			if d.State == DayComplete {
				d.State = DayIncomplete
			}
		case HourDownloaded, HourPresent, HourNoData:
		}
	}
}

// continues adds what the same pull found out before: what it downloaded, and what the hours were
// when the server last answered.
func (d *DayResult) continues(before DayResult) {
	if len(d.Hours) == 0 {
		d.Hours = before.Hours
	}
	for i, h := range d.Hours {
		if i < len(before.Hours) && h.State == HourPresent && before.Hours[i].State == HourDownloaded {
			d.Hours[i].State = HourDownloaded
		}
	}
}

// count is how many hours meet the condition.
func (d *DayResult) count(meets func(HourResult) bool) int {
	n := 0
	for _, h := range d.Hours {
		if meets(h) {
			n++
		}
	}
	return n
}
