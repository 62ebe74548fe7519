package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

const (
	calendarDays    = 30
	maxCalendarDays = 92
	calendarTenants = 50
	maxTenants      = 500
)

// badge shows the state of a day or an hour. It has a sign and words besides the colour of its
// class.
type badge struct {
	Class string
	Sign  string
	Label string
}

type calendarPage struct {
	calendar
	Columns []time.Time // newest first
	Rows    []calendarRow
	Earlier string // address of the days before these
	Later   string
	Next    string // address of the tenants after these
	First   string // address of the first tenants; "" on that page
}

type calendarRow struct {
	domain.Tenant
	Cells []calendarCell
}

type calendarCell struct {
	badge
	Path       string
	Share      string // complete hours of 24; "" where none are expected
	Missing    bool   // some recordings are missing
	Rebuilding bool   // some hours wait for a new revision
}

// calendar is a page of tenants with their days.
type calendar struct {
	Query catalog.CalendarQuery
	Found catalog.Calendar
}

// readCalendar reads the calendar that the query q, after, limit, to and days asks for. Error:
// KindInvalid.
func (h *handler) readCalendar(ctx context.Context, raw string) (c calendar, err error) {
	q, err := web.ParseQuery(raw)
	if err != nil {
		return c, err
	}
	if c.Query.Prefix, _, err = q.Text("q", 64); err != nil {
		return c, err
	}
	if c.Query.After, _, err = q.Text("after", 64); err != nil {
		return c, err
	}
	if c.Query.Limit, err = intOr(q, "limit", calendarTenants, maxTenants); err != nil {
		return c, err
	}
	days, err := intOr(q, "days", calendarDays, maxCalendarDays)
	if err != nil {
		return c, err
	}
	to, given, err := q.Text("to", 10)
	if err != nil {
		return c, err
	}
	c.Query.To = domain.DayOf(h.deps.Now()).Add(-1)
	if given && to != "" {
		if c.Query.To, err = domain.ParseDay(to); err != nil {
			return c, err
		}
	}
	c.Query.From = c.Query.To.Add(1 - days)
	c.Found, err = h.deps.Catalog.Calendar(ctx, c.Query)
	return c, err
}

func intOr(q web.Query, name string, fallback, most int) (int, error) {
	n, given, err := q.Int(name, 1, int64(most))
	if !given {
		return fallback, err
	}
	return int(n), err
}

// days lists the calendar's days, newest first.
func (c calendar) days() (list []domain.Day) {
	for d := c.Query.To; d >= c.Query.From; d = d.Add(-1) {
		list = append(list, d)
	}
	return list
}

// next is the id behind which the next page begins, "" on the last page.
func (c calendar) next() string {
	if !c.Found.More || len(c.Found.Tenants) == 0 {
		return ""
	}
	return c.Found.Tenants[len(c.Found.Tenants)-1].ID
}

// address is the address of the calendar with another last day and other tenants.
func (c calendar) address(to domain.Day, after string) string {
	v := url.Values{}
	v.Set("to", string(to))
	v.Set("days", strconv.Itoa(len(c.days())))
	if c.Query.Prefix != "" {
		v.Set("q", c.Query.Prefix)
	}
	if after != "" {
		v.Set("after", after)
	}
	return "/admin?" + v.Encode()
}

// showCalendar is GET /admin.
func (h *handler) showCalendar(r *http.Request) (answer, error) {
	c, err := h.readCalendar(r.Context(), r.URL.RawQuery)
	if err != nil {
		return answer{}, err
	}
	page := calendarPage{calendar: c, Earlier: c.address(c.Query.From.Add(-1), c.Query.After)}
	if c.Query.To < domain.DayOf(c.Found.Now) {
		page.Later = c.address(min(c.Query.To.Add(len(c.days())), domain.DayOf(c.Found.Now)), c.Query.After)
	}
	if next := c.next(); next != "" {
		page.Next = c.address(c.Query.To, next)
	}
	if c.Query.After != "" {
		page.First = c.address(c.Query.To, "")
	}
	for _, day := range c.days() {
		page.Columns = append(page.Columns, day.Start())
	}
	for _, t := range c.Found.Tenants {
		row := calendarRow{Tenant: t.Tenant}
		for _, day := range c.days() {
			counts, known := t.Days[day]
			row.Cells = append(row.Cells, dayCell(t.ID, day, counts, known, c.Found.Now))
		}
		page.Rows = append(page.Rows, row)
	}
	return answer{page: "calendar", view: view{Title: "Calendar", Nav: "calendar", Data: page}}, nil
}

func dayCell(tenant string, day domain.Day, d catalog.CalendarDay, known bool, now time.Time) calendarCell {
	cell := calendarCell{badge: dayBadge(day, d, known, now), Path: dayPath(tenant, day)}
	if d.Expired {
		return cell
	}
	cell.Missing, cell.Rebuilding = d.Missing > 0, d.Rebuilding > 0
	if known && d.Planned {
		cell.Share = fmt.Sprintf("%d/24", d.Complete())
	}
	return cell
}

// dayBadge is a day's badge: the states of its hours, then what is missing or being rebuilt.
func dayBadge(day domain.Day, d catalog.CalendarDay, known bool, now time.Time) badge {
	b := hoursBadge(day, d, known, now)
	var defects []string
	if d.Missing > 0 {
		defects = append(defects, count(d.Missing, "missing recording", "missing recordings"))
	}
	if d.Rebuilding > 0 {
		defects = append(defects, count(d.Rebuilding, "hour being rebuilt", "hours being rebuilt"))
	}
	switch {
	case d.Expired || len(defects) == 0:
	case b.Class == "complete":
		b = badge{"partial", "◐", "complete but for " + strings.Join(defects, ", ")}
	default:
		b.Label += ", " + strings.Join(defects, ", ")
	}
	return b
}

// hoursBadge is a day's badge by the states of its hours.
func hoursBadge(day domain.Day, d catalog.CalendarDay, known bool, now time.Time) badge {
	switch {
	case d.Expired && d.Unbuilt > 0:
		return badge{"failed", "✕", "past retention, " + count(d.Unbuilt, "hour was", "hours were") + " not built by then"}
	case d.Expired && d.CutShort:
		return badge{"failed", "✕", "past retention, never complete"}
	case d.Expired:
		return badge{"ended", "–", "past retention"}
	case now.Before(day.End()):
		return badge{"open", "○", "not over yet"}
	case !known:
		return badge{"none", "·", "nothing registered, not planned"}
	case !d.Planned:
		return badge{"open", "○", "not planned yet"}
	case d.Failed > 0:
		return badge{"failed", "✕", count(d.Failed, "hour failed", "hours failed")}
	case d.Complete() == 24:
		return badge{"complete", "✓", "complete"}
	}
	return badge{"partial", "◐", count(d.Pending, "hour pending", "hours pending")}
}

type calendarJSON struct {
	Now     string               `json:"now"`
	From    domain.Day           `json:"from"`
	To      domain.Day           `json:"to"`
	Tenants []calendarTenantJSON `json:"tenants"`
	Next    *string              `json:"next"`
}

type calendarTenantJSON struct {
	domain.TenantJSON
	Days []dayCountsJSON `json:"days"`
}

type dayCountsJSON struct {
	Day       domain.Day `json:"day"`
	Planned   bool       `json:"planned"`
	Expired   bool       `json:"expired"`
	Complete  int        `json:"completeHours"`
	Available int        `json:"availableHours"`
	NoData    int        `json:"noDataHours"`
	Pending   int        `json:"pendingHours"`
	Failed    int        `json:"failedHours"`
	Files     int64      `json:"files"`
	Bytes     int64      `json:"sizeBytes"`
	TooLate   int64      `json:"tooLate"`
	CutShort  bool       `json:"cutShort"`
	Unbuilt   int        `json:"unbuiltHours"`

	Missing    int `json:"missingFileCount"`
	Rebuilding int `json:"rebuildingHours"`
}

// getCalendar is GET /api/admin/v1/calendar.
func (h *handler) getCalendar(r *http.Request) (any, error) {
	c, err := h.readCalendar(r.Context(), r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	out := calendarJSON{Now: web.Time(c.Found.Now), From: c.Query.From, To: c.Query.To, Tenants: []calendarTenantJSON{}, Next: web.TextOrNull(c.next())}
	for _, t := range c.Found.Tenants {
		row := calendarTenantJSON{TenantJSON: t.Tenant.JSON(), Days: []dayCountsJSON{}}
		for _, day := range c.days() {
			if d, known := t.Days[day]; known {
				row.Days = append(row.Days, dayCountsJSON{day, d.Planned, d.Expired, d.Complete(), d.Available, d.NoData, d.Pending, d.Failed,
					d.Files, d.Bytes, d.TooLate, d.CutShort, d.Unbuilt, d.Missing, d.Rebuilding})
			}
		}
		out.Tenants = append(out.Tenants, row)
	}
	return out, nil
}
