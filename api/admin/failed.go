package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// failedHours is the size of a page of failed hours.
const failedHours = 100

// triedHours is how many hours that are tried again are listed.
const triedHours = 100

type failedList struct {
	Hours []catalog.FailedHour
	Next  string // position of the next page, "" on the last

	Tried     []catalog.TriedHour
	MoreTried bool

	Faults     []catalog.Fault
	MoreFaults bool
}

// readFailed reads a page of failed hours, from behind the position in the query's after. Error:
// KindInvalid.
func (h *handler) readFailed(ctx context.Context, raw string) (l failedList, err error) {
	q, err := web.ParseQuery(raw)
	if err != nil {
		return l, err
	}
	text, _, err := q.Text("after", 100)
	if err != nil {
		return l, err
	}
	after, err := parseFailedPosition(text)
	if err != nil {
		return l, err
	}
	if l.Hours, err = h.deps.Catalog.FailedHours(ctx, after, failedHours+1); err != nil {
		return l, err
	}
	if len(l.Hours) > failedHours {
		l.Hours = l.Hours[:failedHours]
		last := l.Hours[failedHours-1].HourKey
		l.Next = string(last.Day) + "/" + last.Tenant + "/" + last.HH()
	}
	if l.Tried, err = h.deps.Catalog.TriedHours(ctx, triedHours+1); err != nil {
		return l, err
	}
	if l.MoreTried = len(l.Tried) > triedHours; l.MoreTried {
		l.Tried = l.Tried[:triedHours]
	}
	return l, nil
}

// parseFailedPosition reads a position: day/tenant/hour, or "" for the start.
func parseFailedPosition(text string) (key domain.HourKey, err error) {
	if text == "" {
		return key, nil
	}
	wrong := domain.Errorf(domain.KindInvalid, "after is not a position of this list")
	parts := strings.Split(text, "/")
	if len(parts) != 3 || len(parts[2]) != 2 {
		return key, wrong
	}
	if key.Day, err = domain.ParseDay(parts[0]); err != nil {
		return key, wrong
	}
	key.Tenant = parts[1]
	for _, digit := range parts[2] {
		if digit < '0' || digit > '9' {
			return key, wrong
		}
		key.Hour = 10*key.Hour + int(digit-'0')
	}
	return key, nil
}

// showFailed is GET /admin/failed.
func (h *handler) showFailed(r *http.Request) (answer, error) {
	l, err := h.readFailed(r.Context(), r.URL.RawQuery)
	if err != nil {
		return answer{}, err
	}
	if l.Faults, err = h.deps.Catalog.Faults(r.Context(), catalog.Fault{}, maxFaults+1); err != nil {
		return answer{}, err
	}
	if l.MoreFaults = len(l.Faults) > maxFaults; l.MoreFaults {
		l.Faults = l.Faults[:maxFaults]
	}
	return answer{page: "failed", view: view{Title: "Failed hours", Nav: "failed", Data: l}}, nil
}

type failedJSON struct {
	Hours     []failedHourJSON `json:"hours"`
	Next      *string          `json:"next"`
	Tried     []triedHourJSON  `json:"triedAgain"`
	MoreTried bool             `json:"moreTriedAgain"`
}

type triedHourJSON struct {
	failedHourJSON
	State  string  `json:"state"`
	Worker *string `json:"worker"`
}

func failedAnswer(f catalog.FailedHour) failedHourJSON {
	return failedHourJSON{f.Tenant, f.Day, f.HH(), f.Failures, f.Lapses, f.LastError, web.TimeOrNull(f.FailedAt), web.TimeOrNull(f.Due)}
}

type failedHourJSON struct {
	Tenant    string     `json:"tenant"`
	Day       domain.Day `json:"day"`
	Hour      string     `json:"hour"`
	Failures  int        `json:"failures"`
	Lapses    int        `json:"lapses"`
	LastError string     `json:"lastError"`
	FailedAt  *string    `json:"failedAt"`
	DueAt     *string    `json:"dueAt"`
}

// getFailed is GET /api/admin/v1/failed.
func (h *handler) getFailed(r *http.Request) (any, error) {
	l, err := h.readFailed(r.Context(), r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	out := failedJSON{Hours: []failedHourJSON{}, Next: web.TextOrNull(l.Next), Tried: []triedHourJSON{}, MoreTried: l.MoreTried}
	for _, f := range l.Hours {
		out.Hours = append(out.Hours, failedAnswer(f))
	}
	for _, f := range l.Tried {
		out.Tried = append(out.Tried, triedHourJSON{failedAnswer(f.FailedHour), f.State, web.TextOrNull(f.Worker)})
	}
	return out, nil
}
