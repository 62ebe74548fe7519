package admin

import (
	"net/http"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

type calendarJSON struct {
	Now     string               `json:"now"`
	From    domain.Day           `json:"from"`
	To      domain.Day           `json:"to"`
	Tenants []calendarTenantJSON `json:"tenants"`
	Next    *string              `json:"next"`
}

type calendarTenantJSON struct {
	domain.TenantJSON
	Days []calendarDayJSON `json:"days"`
}

type calendarDayJSON struct {
	Day        domain.Day `json:"day"`
	Planned    bool       `json:"planned"`
	Expired    bool       `json:"expired"`
	Incomplete bool       `json:"incomplete"`
	dayCountsJSON
	Files int64 `json:"files"`
	Bytes int64 `json:"sizeBytes"`
}

// dayCountsJSON is what calendar and day say alike.
type dayCountsJSON struct {
	Complete   *int  `json:"completeHours"` // nil where it is not known
	Available  int   `json:"availableHours"`
	NoData     int   `json:"noDataHours"`
	Pending    int   `json:"pendingHours"`
	Failed     int   `json:"failedHours"`
	Rebuilding int   `json:"rebuildingHours"`
	Missing    *int  `json:"missingFileCount"` // nil where it is not known
	CutShort   bool  `json:"cutShort"`
	Unbuilt    int   `json:"unbuiltHours"`
	TooLate    int64 `json:"tooLate"`
	Short      int64 `json:"shortBy"`
	Surplus    int64 `json:"surplus"`
}

func countsAnswer(d catalog.CalendarDay) dayCountsJSON {
	out := dayCountsJSON{Available: d.Available, NoData: d.NoData, Pending: d.Pending, Failed: d.Failed, Rebuilding: d.Rebuilding,
		CutShort: d.CutShort, Unbuilt: d.Unbuilt, TooLate: d.TooLate, Short: d.Short, Surplus: d.Surplus}
	if !d.Ended || d.EndKnown {
		out.Complete, out.Missing = new(d.Complete()), new(d.Missing)
	}
	return out
}

// getCalendar is GET /api/admin/v1/calendar.
func (h *handler) getCalendar(r *http.Request) (any, error) {
	c, err := h.readCalendar(r.Context(), r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	out := calendarJSON{Now: web.Time(c.Found.Now), From: c.Query.From, To: c.Query.To, Tenants: []calendarTenantJSON{}, Next: web.TextOrNull(c.next())}
	for _, t := range c.Found.Tenants {
		row := calendarTenantJSON{TenantJSON: t.Tenant.JSON(), Days: []calendarDayJSON{}}
		for _, day := range c.days() {
			d, known := t.Days[day]
			incomplete := known && d.Incomplete(t.Tenant, c.Found.Now)
			if known && (incomplete || !c.Query.Incomplete) {
				row.Days = append(row.Days, calendarDayJSON{day, d.Planned, d.Ended, incomplete, countsAnswer(d), d.Files, d.Bytes})
			}
		}
		out.Tenants = append(out.Tenants, row)
	}
	return out, nil
}
