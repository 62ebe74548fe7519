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
		if got := dayBadge(d.Day, d.counts(), d.Known, d.Now).Label; got != label {
			t.Errorf("it is shown as %q, want %q", got, label)
		}
	}
	want("complete")
	d.Hours[3].ServedHour = catalog.ServedHour{Hour: 3, State: catalog.StateAvailable, Archive: &catalog.ArchiveView{MissingCount: 1}}
	want("complete but for 1 missing recording")
	d.Hours[3].Rebuilding, d.Hours[3].Archive.MissingCount = true, 2
	want("complete but for 2 missing recordings, 1 hour being rebuilt")
	d.Hours[4].State = catalog.StateFailed
	want("1 hour failed, 2 missing recordings, 1 hour being rebuilt")
	d.Expired = true
	want("past retention")
	d.CutShort = true
	want("past retention, never complete")
	d.Unbuilt = 2
	want("past retention, 2 hours were not built by then")
}
