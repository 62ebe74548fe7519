package client

// DayState is the outcome of a pull for a day.
type DayState string

// The states of a day, from best to worst.
const (
	DayComplete   DayState = "complete"   // every hour is there or has no data
	DayIncomplete DayState = "incomplete" // hours are pending, failed on the server, or limited
	DayFailed     DayState = "failed"     // an error of the network, a file or an archive
	DayRefused    DayState = "refused"    // see RefusedError
)

// HourState is the outcome of a pull for an hour.
type HourState string

// The states of an hour.
const (
	HourDownloaded HourState = "downloaded" // by this pull
	HourPresent    HourState = "present"    // from an earlier one
	HourNoData     HourState = "no_data"
	HourPending    HourState = "pending" // not built yet
	HourFailed     HourState = "failed"  // the server could not build it; its operators are alerted
	HourLimited    HourState = "limited" // see LimitedError
	HourRefused    HourState = "refused" // see RefusedError
	HourError      HourState = "error"   // see Err
)

// HourResult is one hour of a DayResult.
type HourResult struct {
	Hour       string // "00" to "23"
	State      HourState
	Path       string // of the archive, "" unless downloaded or present
	Checked    bool   // this pull has read and checked the archive
	SizeBytes  int64
	Revision   int64
	Rebuilding bool  // a newer revision will follow
	Missing    int64 // recordings that the archive declares missing
	Err        error // why it is limited, refused or error
}

// DayResult is the result of a pull for one day.
type DayResult struct {
	Date  string
	State DayState
	Hours []HourResult // 24, by the last answer; none when the server has not answered
	// Kept means that the day is past the server's retention, and complete in the directory.
	Kept bool
	Err  error // why the last request for the day failed

	Seal    SealState
	SealErr error
}

// Result is the result of a pull, with the days in the order of Options.
type Result struct{ Days []DayResult }

// State returns the worst state of all days.
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

// setState sets the day's state from its hours.
func (d *DayResult) setState() {
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
	if d.SealErr != nil && d.State != DayRefused {
		d.State = DayFailed
	}
}

// keepEarlier takes over from an earlier round of the same pull which hours were downloaded, and
// all hours when the server has not answered now.
func (d *DayResult) keepEarlier(before DayResult) {
	if len(d.Hours) == 0 {
		d.Hours = before.Hours
	}
	for i, h := range d.Hours {
		if i < len(before.Hours) && h.State == HourPresent && before.Hours[i].State == HourDownloaded {
			d.Hours[i].State = HourDownloaded
		}
	}
}

// count returns how many hours meet the condition.
func (d *DayResult) count(meets func(HourResult) bool) int {
	n := 0
	for _, h := range d.Hours {
		if meets(h) {
			n++
		}
	}
	return n
}
