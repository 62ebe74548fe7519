package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// dayEvents is how many lines of the audit log a day's or an hour's page shows.
const dayEvents = 50

// dayDetails is a day with the downloads of its hours.
type dayDetails struct {
	catalog.DayView
	Downloads [24]int
}

// readDay reads the day of the request's path. Errors: KindInvalid, KindNotFound.
func (h *handler) readDay(r *http.Request) (d dayDetails, err error) {
	day, err := domain.ParseDay(chi.URLParam(r, "day"))
	if err != nil {
		return d, err
	}
	if d.DayView, err = h.deps.Catalog.Day(r.Context(), chi.URLParam(r, "tenant"), day); err != nil {
		return d, err
	}
	d.Downloads, err = h.deps.Catalog.DayDownloads(r.Context(), d.Tenant, day)
	return d, err
}

// inCalendar is the day as the calendar has it.
func (d dayDetails) inCalendar() catalog.CalendarDay {
	return catalog.CalendarDay{Day: d.Day, Planned: !d.Planned.IsZero(), Ended: d.Ended, DayCounts: d.Counts(), Files: d.Files, Bytes: d.Bytes,
		TooLate: d.TooLate, CutShort: d.CutShort, Unbuilt: d.Unbuilt, EndKnown: d.EndKnown,
		Short: d.Short, Surplus: d.Surplus}
}

type dayPage struct {
	dayDetails
	Badge   badge
	Row     catalog.CalendarDay
	Before  string // what a reopened day lacked when it had ended
	Earlier string
	Later   string // "" on today's page
	Over    bool
	Cells   []hourCell
	Totals  []totalRow
	Events  []event
}

type hourCell struct {
	catalog.HourView
	badge
	Path      string
	Downloads int
}

// showDay is GET /admin/tenants/{tenant}/days/{day}.
func (h *handler) showDay(r *http.Request) (answer, error) {
	d, err := h.readDay(r)
	if err != nil {
		return answer{}, err
	}
	events, err := h.deps.Catalog.LatestAudit(r.Context(), d.Tenant, d.Day, -1, dayEvents)
	if err != nil {
		return answer{}, web.Step("read the day's audit log", err)
	}
	page := dayPage{dayDetails: d, Row: d.inCalendar(),
		Earlier: dayPath(d.Tenant, d.Day.Add(-1)), Over: !d.Now.Before(d.Day.End()), Events: eventLines(events, false), Totals: totalRows(d.DayView)}
	page.Badge = dayBadge(d.Day, page.Row, d.Known, d.Now)
	if !d.Reopened.IsZero() {
		end, err := h.deps.Catalog.FormerEnd(r.Context(), d.Tenant, d.Day, d.Reopened)
		if err != nil {
			return answer{}, web.Step("read what the day was", err)
		}
		lacked := catalog.CalendarDay{Unbuilt: end.Unbuilt, Short: end.Short, DayCounts: catalog.DayCounts{Missing: end.Missing}}
		page.Before = joinText(append(dayDefects(lacked), tooLate(end.TooLate))...)
	}
	if page.Over {
		page.Later = dayPath(d.Tenant, d.Day.Add(1))
	}
	for i, v := range d.Hours {
		key := domain.HourKey{Tenant: d.Tenant, Day: d.Day, Hour: i}
		page.Cells = append(page.Cells, hourCell{v, hourBadge(v), hourPath(key), d.Downloads[i]})
	}
	return answer{page: "day", view: view{Title: d.Tenant + ", " + string(d.Day), Nav: "calendar", Data: page}}, nil
}

type dayJSON struct {
	Tenant        string     `json:"tenant"`
	Day           domain.Day `json:"day"`
	Now           string     `json:"now"`
	PlannedAt     *string    `json:"plannedAt"`
	SettledAt     *string    `json:"settledAt"`
	ReopenedAt    *string    `json:"reopenedAt"`
	Expired       bool       `json:"expired"`
	RetentionEnds string     `json:"retentionEndsAt"`
	Sessions      int64      `json:"sessions"`
	Files         int64      `json:"files"`
	Bytes         int64      `json:"sizeBytes"`
	dayCountsJSON
	Totals []totalJSON `json:"totals"`
	Hours  []hourJSON  `json:"hours"`
}

// getDay is GET /api/admin/v1/tenants/{tenant}/days/{day}.
func (h *handler) getDay(r *http.Request) (any, error) {
	d, err := h.readDay(r)
	if err != nil {
		return nil, err
	}
	out := dayJSON{Tenant: d.Tenant, Day: d.Day, Now: web.Time(d.Now), PlannedAt: web.TimeOrNull(d.Planned), SettledAt: web.TimeOrNull(d.Settled),
		ReopenedAt: web.TimeOrNull(d.Reopened), Expired: d.Expired, RetentionEnds: web.Time(d.RetentionEnd),
		Sessions: d.Sessions, Files: d.Files, Bytes: d.Bytes, dayCountsJSON: countsAnswer(d.inCalendar()), Totals: totalsAnswer(d.DayView)}
	for i, v := range d.Hours {
		out.Hours = append(out.Hours, hourAnswer(v, d.Downloads[i]))
	}
	return out, nil
}
