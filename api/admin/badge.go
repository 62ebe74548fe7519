package admin

import (
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// badge shows the state of a day or an hour. It has a sign and words besides the colour of its
// class.
type badge struct {
	Class string
	Sign  string
	Label string
}

// dayBadge is a day's badge. Only a day of which all is in archives is called complete.
func dayBadge(day domain.Day, d catalog.CalendarDay, known bool, now time.Time) badge {
	defects := strings.Join(dayDefects(d), ", ")
	switch {
	case d.Ended:
		return endedBadge(d, defects)
	case now.Before(day.End()):
		return badge{"open", "○", "not over yet"}
	case !known:
		return badge{"none", "·", "nothing registered, not planned"}
	case !d.Planned:
		return badge{"open", "○", "not planned"}
	case d.Failed > 0:
		return badge{"failed", "✕", "incomplete: " + defects}
	case d.Complete() == 24 && d.Short == 0:
		return badge{"complete", "✓", joinText("complete", surplus(d.Surplus))}
	}
	return badge{"partial", "◐", "incomplete: " + defects}
}

// endedBadge is the badge of an ended day: what it was when it ended, and what came too late.
func endedBadge(d catalog.CalendarDay, defects string) badge {
	b := badge{"ended", "✓", "ended complete"}
	switch {
	case d.CutShort && !d.Planned:
		b = badge{"cut", "⊘", joinText("ended incomplete: it was not planned", defects)}
	case d.CutShort || d.Missing > 0 || d.Short > 0:
		b = badge{"cut", "⊘", "ended incomplete: " + defects}
	case !d.EndKnown:
		b = badge{"ended", "–", "ended; no hour was pending or failed, what was missing is not known"}
	}
	b.Label = joinText(b.Label, surplus(d.Surplus), tooLate(d.TooLate))
	return b
}

func surplus(n int64) string {
	if n == 0 {
		return ""
	}
	return count(int(n), "recording", "recordings") + " more than the totals say"
}

func tooLate(n int64) string {
	if n == 0 {
		return ""
	}
	return count(int(n), "recording", "recordings") + " came too late"
}

// dayDefects says what a planned day lacks, or lacked when it ended.
func dayDefects(d catalog.CalendarDay) (list []string) {
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{d.Failed, "hour failed", "hours failed"},
		{d.Pending, "hour pending", "hours pending"},
		{d.Unbuilt - d.Failed - d.Pending, "hour with recordings in no archive", "hours with recordings in no archive"},
		{d.Missing, "recording missing", "recordings missing"},
		{d.Rebuilding, "hour being rebuilt", "hours being rebuilt"},
		{int(d.Short), "recording fewer than the totals say", "recordings fewer than the totals say"},
	} {
		if part.n > 0 {
			list = append(list, count(part.n, part.one, part.many))
		}
	}
	return list
}

// hourBadge is an hour's badge. Only an hour whose archive has all that is registered is green.
func hourBadge(v catalog.HourView) badge {
	switch {
	case v.State == catalog.StateExpired:
		return endedHourBadge(v.End)
	case v.Worker != "" && v.Archive == nil:
		return badge{"partial", "◐", "being built"}
	case v.State == catalog.StateAvailable && v.Archive != nil && v.Archive.MissingCount > 0:
		return badge{"partial", "◐", "available, " + count(v.Archive.MissingCount, "recording", "recordings") + " missing"}
	case v.State == catalog.StateAvailable && v.Rebuilding:
		return badge{"partial", "◐", "available"}
	case v.State == catalog.StateAvailable:
		return badge{"complete", "✓", "available"}
	case v.State == catalog.StateNoData:
		return badge{"empty", "∅", "no data"}
	case v.State == catalog.StateFailed:
		return badge{"failed", "✕", "failed"}
	}
	return badge{"open", "○", "pending"}
}

// endedHourBadge is the badge of an hour of an ended day.
func endedHourBadge(e catalog.HourEnd) badge {
	b := badge{"ended", "✓", "ended complete"}
	switch {
	case e.State == "":
		b = badge{"ended", "–", "ended"}
	case e.State == catalog.StateFailed, e.State == catalog.StatePending:
		b = badge{"cut", "⊘", "ended while " + e.State}
	case e.State == catalog.StateNoData:
		b = badge{"ended", "∅", "ended, no data"}
	case e.Missing > 0:
		b = badge{"cut", "⊘", "ended with " + count(e.Missing, "recording", "recordings") + " missing"}
	case e.Unbuilt:
		b = badge{"cut", "⊘", "ended before its rebuild"}
	}
	if e.TooLate {
		b.Label += "; recordings came too late"
	}
	return b
}
