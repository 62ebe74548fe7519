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

// mark is how a day or an hour is shown: a sign and words, so that no colour carries it alone.
type mark struct {
	Class string
	Sign  string
	Label string
}

type calendarPage struct {
	calendar
	Columns []time.Time // newest first
	Rows    []calendarRow
	Earlier string // address of the days before
	Later   string
	Next    string // address of the tenants after
	First   string // address of the first tenants; "" on that page
}

type calendarRow struct {
	domain.Tenant
	Path  string
	Cells []calendarCell
}

type calendarCell struct {
	mark
	Path       string
	Share      string // complete hours of 24; "" where none are expected
	Missing    bool   // recordings are
	Rebuilding bool   // hours are
}

// calendar is a page of tenants with their days, as asked for.
type calendar struct {
	Query catalog.CalendarQuery
	Found catalog.Calendar
}

// readCalendar reads q, after, limit, to and days of a query. Error: KindInvalid.
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
	limit, err := wholeOr(q, "limit", calendarTenants, maxTenants)
	if err != nil {
		return c, err
	}
	days, err := wholeOr(q, "days", calendarDays, maxCalendarDays)
	if err != nil {
		return c, err
	}
	c.Query.Limit = limit
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

func wholeOr(q web.Query, name string, fallback, most int) (int, error) {
	n, given, err := q.Int(name, 1, int64(most))
	if !given {
		return fallback, err
	}
	return int(n), err
}

// days lists the calendar's days, newest first: last night is what one looks for.
func (c calendar) days() (list []domain.Day) {
	for d := c.Query.To; d >= c.Query.From; d = d.Add(-1) {
		list = append(list, d)
	}
	return list
}

// next is the id that the page after this one begins behind, "" on the last page.
func (c calendar) next() string {
	if !c.Found.More || len(c.Found.Tenants) == 0 {
		return ""
	}
	return c.Found.Tenants[len(c.Found.Tenants)-1].ID
}

// address is the calendar's own with another last day and another first tenant.
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
func (h *handler) showCalendar(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := within(r)
	defer cancel()
	c, err := h.readCalendar(ctx, r.URL.RawQuery)
	if err != nil {
		h.broken(w, r, "read the calendar", err)
		return
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
		row := calendarRow{Tenant: t.Tenant, Path: tenantPath(t.ID)}
		for _, day := range c.days() {
			counts, known := t.Days[day]
			row.Cells = append(row.Cells, dayCell(t.ID, day, counts, known, c.Found.Now))
		}
		page.Rows = append(page.Rows, row)
	}
	h.render(w, r, http.StatusOK, "calendar", view{Title: "Calendar", Nav: "calendar", Data: page})
}

func dayCell(tenant string, day domain.Day, d catalog.CalendarDay, known bool, now time.Time) calendarCell {
	cell := calendarCell{mark: dayMark(day, d, known, now), Path: dayPath(tenant, day)}
	if d.Expired {
		return cell
	}
	cell.Missing, cell.Rebuilding = d.Missing > 0, d.Rebuilding > 0
	if known && d.Planned {
		cell.Share = fmt.Sprintf("%d/24", d.Complete())
	}
	return cell
}

// dayMark says how a day stands, and what it lacks although its hours are served.
func dayMark(day domain.Day, d catalog.CalendarDay, known bool, now time.Time) mark {
	m := hoursMark(day, d, known, now)
	var lacks []string
	if d.Missing > 0 {
		lacks = append(lacks, count(d.Missing, "missing recording", "missing recordings"))
	}
	if d.Rebuilding > 0 {
		lacks = append(lacks, count(d.Rebuilding, "hour being rebuilt", "hours being rebuilt"))
	}
	switch {
	case d.Expired || len(lacks) == 0:
	case m.Class == "complete":
		m = mark{"partial", "◐", "complete but for " + strings.Join(lacks, ", ")}
	default:
		m.Label += ", " + strings.Join(lacks, ", ")
	}
	return m
}

// hoursMark says how a day stands by the states of its hours.
func hoursMark(day domain.Day, d catalog.CalendarDay, known bool, now time.Time) mark {
	switch {
	case d.Expired && d.Unbuilt > 0:
		return mark{"failed", "✕", "past retention, " + count(d.Unbuilt, "hour was", "hours were") + " not built by then"}
	case d.Expired && d.CutShort:
		return mark{"failed", "✕", "past retention, never complete"}
	case d.Expired:
		return mark{"ended", "–", "past retention"}
	case now.Before(day.End()):
		return mark{"open", "○", "not over yet"}
	case !known:
		return mark{"none", "·", "nothing registered, not planned"}
	case !d.Planned:
		return mark{"open", "○", "not planned yet"}
	case d.Failed > 0:
		return mark{"failed", "✕", count(d.Failed, "hour failed", "hours failed")}
	case d.Complete() == 24:
		return mark{"complete", "✓", "complete"}
	}
	return mark{"partial", "◐", count(d.Pending, "hour pending", "hours pending")}
}

type calendarJSON struct {
	Now     string               `json:"now"`
	From    domain.Day           `json:"from"`
	To      domain.Day           `json:"to"`
	Tenants []calendarTenantJSON `json:"tenants"`
	Next    *string              `json:"next"`
}

type calendarTenantJSON struct {
	tenantJSON
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
func (h *handler) getCalendar(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := within(r)
	defer cancel()
	c, err := h.readCalendar(ctx, r.URL.RawQuery)
	if err != nil {
		h.brokenJSON(w, r, "read the calendar", err)
		return
	}
	out := calendarJSON{Now: web.Time(c.Found.Now), From: c.Query.From, To: c.Query.To, Tenants: []calendarTenantJSON{}, Next: textOrNull(c.next())}
	for _, t := range c.Found.Tenants {
		row := calendarTenantJSON{tenantJSON: tenantAnswer(t.Tenant), Days: []dayCountsJSON{}}
		for _, day := range c.days() {
			if d, known := t.Days[day]; known {
				row.Days = append(row.Days, dayCountsJSON{day, d.Planned, d.Expired, d.Complete(), d.Available, d.NoData, d.Pending, d.Failed,
					d.Files, d.Bytes, d.TooLate, d.CutShort, d.Unbuilt, d.Missing, d.Rebuilding})
			}
		}
		out.Tenants = append(out.Tenants, row)
	}
	web.JSON(w, r, http.StatusOK, out)
}
