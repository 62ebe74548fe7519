package admin

import (
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
)

// A day whose hours are all complete still says what is missing or being rebuilt.
func TestDayBadgeNamesWhatIsMissing(t *testing.T) {
	var d dayDetails
	d.Day, d.Known = "2025-12-12", true
	d.Planned = d.Day.End()
	d.Now = d.Day.End().Add(time.Hour)
	for i := range d.Hours {
		d.Hours[i].ServedHour = catalog.ServedHour{Hour: i, State: catalog.StateNoData}
	}
	want := func(label string) {
		t.Helper()
		if got := dayBadge(d.Day, d.inCalendar(), d.Known, d.Now).Label; got != label {
			t.Errorf("it is shown as %q, want %q", got, label)
		}
	}
	want("complete")
	d.Short, d.Surplus = 2, 1
	want("incomplete: 2 recordings fewer than the totals say")
	d.Short = 0
	want("complete, 1 recording more than the totals say")
	d.Surplus = 0
	d.Hours[3].ServedHour = catalog.ServedHour{Hour: 3, State: catalog.StateAvailable, Archive: &catalog.ArchiveView{MissingCount: 1}}
	want("incomplete: 1 recording missing")
	d.Hours[3].Rebuilding, d.Hours[3].Archive.MissingCount = true, 2
	want("incomplete: 2 recordings missing, 1 hour being rebuilt")
	d.Hours[4].State = catalog.StateFailed
	want("incomplete: 1 hour failed, 2 recordings missing, 1 hour being rebuilt")
}

// An ended day is called complete only where that is known.
func TestEndedBadges(t *testing.T) {
	lacking := catalog.DayCounts{Available: 20, NoData: 2, Pending: 1, Failed: 1, Missing: 3, Lacking: 2}
	whole := catalog.DayCounts{Available: 20, NoData: 4}
	for _, c := range []struct {
		d    catalog.CalendarDay
		want string
	}{
		{catalog.CalendarDay{Planned: true, EndKnown: true, DayCounts: whole}, "ended ✓ ended complete"},
		{catalog.CalendarDay{Planned: true, EndKnown: true, DayCounts: whole, TooLate: 2}, "ended ✓ ended complete, 2 recordings came too late"},
		{catalog.CalendarDay{Planned: true, DayCounts: whole}, "ended – ended; no hour was pending or failed, what was missing is not known"},
		{catalog.CalendarDay{Planned: true, DayCounts: whole, CutShort: true, Unbuilt: 1}, "cut ⊘ ended incomplete: 1 hour with recordings in no archive"},
		{catalog.CalendarDay{Planned: true, EndKnown: true, DayCounts: catalog.DayCounts{Available: 24, Missing: 1, Lacking: 1}}, "cut ⊘ ended incomplete: 1 recording missing"},
		{catalog.CalendarDay{Planned: true, EndKnown: true, DayCounts: lacking, CutShort: true, Unbuilt: 3},
			"cut ⊘ ended incomplete: 1 hour failed, 1 hour pending, 1 hour with recordings in no archive, 3 recordings missing"},
		{catalog.CalendarDay{EndKnown: true, CutShort: true, TooLate: 1}, "cut ⊘ ended incomplete: it was not planned, 1 recording came too late"},
	} {
		c.d.Ended = true
		b := dayBadge("2025-12-12", c.d, true, time.Time{})
		if got := b.Class + " " + b.Sign + " " + b.Label; got != c.want {
			t.Errorf("%+v is shown as %q, want %q", c.d, got, c.want)
		}
	}
}

// Only an hour whose archive has everything is green.
func TestHourBadges(t *testing.T) {
	archive := &catalog.ArchiveView{MissingCount: 2}
	for _, c := range []struct {
		v    catalog.HourView
		want string
	}{
		{catalog.HourView{ServedHour: catalog.ServedHour{State: catalog.StateAvailable, Archive: &catalog.ArchiveView{}}}, "complete ✓ available"},
		{catalog.HourView{ServedHour: catalog.ServedHour{State: catalog.StateAvailable, Archive: archive}}, "partial ◐ available, 2 recordings missing"},
		{catalog.HourView{ServedHour: catalog.ServedHour{State: catalog.StateAvailable, Archive: &catalog.ArchiveView{}, Rebuilding: true}}, "partial ◐ available"},
		{ended(catalog.HourEnd{}), "ended – ended"},
		{ended(catalog.HourEnd{State: catalog.StateAvailable}), "ended ✓ ended complete"},
		{ended(catalog.HourEnd{State: catalog.StateNoData}), "ended ∅ ended, no data"},
		{ended(catalog.HourEnd{State: catalog.StateNoData, TooLate: true}), "ended ∅ ended, no data; recordings came too late"},
		{ended(catalog.HourEnd{State: catalog.StateFailed, Unbuilt: true}), "cut ⊘ ended while failed"},
		{ended(catalog.HourEnd{State: catalog.StateAvailable, Missing: 1}), "cut ⊘ ended with 1 recording missing"},
		{ended(catalog.HourEnd{State: catalog.StateAvailable, Unbuilt: true}), "cut ⊘ ended before its rebuild"},
	} {
		b := hourBadge(c.v)
		if got := b.Class + " " + b.Sign + " " + b.Label; got != c.want {
			t.Errorf("%+v is shown as %q, want %q", c.v, got, c.want)
		}
	}
}

func ended(e catalog.HourEnd) catalog.HourView {
	return catalog.HourView{ServedHour: catalog.ServedHour{State: catalog.StateExpired}, End: e}
}
