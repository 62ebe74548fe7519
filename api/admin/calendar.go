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
	Day        domain.Day
	Path       string
	Share      string // complete hours of 24; "" where none are expected, or where that is not known
	Missing    bool   // some recordings are missing
	Rebuilding bool   // some hours wait for a new revision
	TooLate    bool   // some recordings came after the day's end
}

// calendar is a page of tenants with their days.
type calendar struct {
	Query catalog.TenantQuery
	Found catalog.Calendar
}

// maxSearch is how long a text to search for may be, in bytes: the field of the page takes 100
// characters.
const maxSearch = 400

// tenantQuery reads which tenants and days a request is about, from the query q, after, limit,
// incomplete, to and days. Error: KindInvalid.
func (h *handler) tenantQuery(raw string) (out catalog.TenantQuery, err error) {
	q, err := web.ParseQuery(raw)
	if err != nil {
		return out, err
	}
	if out.Search, _, err = q.Text("q", maxSearch); err != nil {
		return out, err
	}
	out.Search = strings.TrimSpace(out.Search)
	if out.After, _, err = q.Text("after", 64); err != nil {
		return out, err
	}
	if out.Limit, err = intOr(q, "limit", calendarTenants, maxTenants); err != nil {
		return out, err
	}
	if out.Incomplete, err = flag(q, "incomplete"); err != nil {
		return out, err
	}
	days, err := intOr(q, "days", calendarDays, maxCalendarDays)
	if err != nil {
		return out, err
	}
	to, given, err := q.Text("to", 10)
	if err != nil {
		return out, err
	}
	out.To = domain.DayOf(h.deps.Now()).Add(-1)
	if given && to != "" {
		if out.To, err = domain.ParseDay(to); err != nil {
			return out, err
		}
	}
	out.From = out.To.Add(1 - days)
	return out, nil
}

// readCalendar reads the calendar that the query asks for. Error: KindInvalid.
func (h *handler) readCalendar(ctx context.Context, raw string) (c calendar, err error) {
	if c.Query, err = h.tenantQuery(raw); err != nil {
		return c, err
	}
	c.Found, err = h.deps.Catalog.Calendar(ctx, c.Query)
	return c, err
}

// flag reads a parameter that is true or false. Error: KindInvalid.
func flag(q web.Query, name string) (on bool, err error) {
	switch text, _, err := q.Text(name, 10); {
	case err != nil:
		return false, err
	case text == "true":
		return true, nil
	case text != "" && text != "false":
		return false, domain.Errorf(domain.KindInvalid, "%q must be true or false", name)
	}
	return false, nil
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
	if c.Query.Search != "" {
		v.Set("q", c.Query.Search)
	}
	if c.Query.Incomplete {
		v.Set("incomplete", "true")
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
	cell := calendarCell{badge: dayBadge(day, d, known, now), Day: day, Path: dayPath(tenant, day),
		Missing: d.Missing > 0, Rebuilding: d.Rebuilding > 0, TooLate: d.Ended && d.TooLate > 0}
	if known && d.Planned && (!d.Ended || d.EndKnown) {
		cell.Share = fmt.Sprintf("%d/24", d.Complete())
	}
	return cell
}
