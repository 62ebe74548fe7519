package admin

import (
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/api/internal/web"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/domain"
)

// hourDetails is an hour with its day, its history and its audit lines.
type hourDetails struct {
	domain.HourKey
	Day     dayDetails
	View    catalog.HourView
	History catalog.HourHistory
	Faults  []catalog.Fault // the first of them
	Events  []audit.Entry
}

// hourParam reads the path's hour, 00 to 23. Error: KindInvalid.
func hourParam(r *http.Request) (int, error) {
	return parseHour(chi.URLParam(r, "hour"))
}

// parseHour reads an hour of two digits. Error: KindInvalid.
func parseHour(text string) (int, error) {
	hour, err := strconv.Atoi(text)
	if err != nil || len(text) != 2 || hour < 0 || hour > 23 {
		return 0, domain.Errorf(domain.KindInvalid, "%.10q is not an hour; use 00 to 23", text)
	}
	return hour, nil
}

// readHour reads the hour of the request's path. Errors: KindInvalid, KindNotFound.
func (h *handler) readHour(r *http.Request) (o hourDetails, err error) {
	hour, err := hourParam(r)
	if err != nil {
		return o, err
	}
	if o.Day, err = h.readDay(r); err != nil {
		return o, err
	}
	o.HourKey = domain.HourKey{Tenant: o.Day.Tenant, Day: o.Day.Day, Hour: hour}
	o.View = o.Day.Hours[hour]
	if o.History, err = h.deps.Catalog.HourHistory(r.Context(), o.HourKey); err != nil {
		return o, err
	}
	if o.Faults, err = h.deps.Catalog.HourFaults(r.Context(), o.HourKey, maxFaults); err != nil {
		return o, err
	}
	o.Events, err = h.deps.Catalog.LatestAudit(r.Context(), o.Tenant, o.Day.Day, hour, dayEvents)
	return o, err
}

type hourPage struct {
	hourDetails
	Badge   badge
	Earlier string // "" at 00
	Later   string // "" at 23
	Over    bool
	Lines   []event
	Missing []catalog.MissingGroup
}

// showHour is GET /admin/tenants/{tenant}/days/{day}/hours/{hour}.
func (h *handler) showHour(r *http.Request) (answer, error) {
	o, err := h.readHour(r)
	if err != nil {
		return answer{}, err
	}
	page := hourPage{hourDetails: o, Badge: hourBadge(o.View), Over: !o.Day.Now.Before(o.End()), Lines: eventLines(o.Events, false),
		Missing: catalog.GroupMissing(o.History.Missing)}
	beside := o.HourKey
	if beside.Hour = o.Hour - 1; beside.Hour >= 0 {
		page.Earlier = hourPath(beside)
	}
	if beside.Hour = o.Hour + 1; beside.Hour < 24 {
		page.Later = hourPath(beside)
	}
	return answer{page: "hour", view: view{Title: o.Tenant + ", " + string(o.HourKey.Day) + " " + o.HH() + ":00", Nav: "calendar", Data: page}}, nil
}

type hourJSON struct {
	Hour       string  `json:"hour"`
	State      string  `json:"state"`
	Revision   int64   `json:"revision"`
	Rebuilding bool    `json:"rebuilding"`
	Files      int     `json:"files"`
	Sessions   int     `json:"sessions"`
	Size       int64   `json:"sizeBytes"`
	Missing    int     `json:"missingFileCount"`
	Published  *string `json:"publishedAt"`
	Downloads  int     `json:"downloads"`
	DueAt      *string `json:"dueAt"`
	Worker     *string `json:"worker"`
	ClaimedAt  *string `json:"claimedAt"`
	Failures   int     `json:"failures"`
	Lapses     int     `json:"lapses"`
	LastError  *string `json:"lastError"`
	FailedAt   *string `json:"failedAt"`

	AtEnd *hourEndJSON `json:"atEnd"` // nil while the day has not ended, and where it is not known
}

// hourEndJSON is what an hour was when its day ended.
type hourEndJSON struct {
	State   string `json:"state"`
	Files   int    `json:"files"`
	Missing int    `json:"missingFileCount"`
	Unbuilt bool   `json:"unbuilt"`
	TooLate bool   `json:"tooLate"`
}

func hourAnswer(v catalog.HourView, downloads int) hourJSON {
	out := hourJSON{Hour: domain.HourKey{Hour: v.Hour}.HH(), State: v.State, Revision: v.Revision, Rebuilding: v.Rebuilding, Downloads: downloads,
		DueAt: web.TimeOrNull(v.Due), Worker: web.TextOrNull(v.Worker), ClaimedAt: web.TimeOrNull(v.Claimed), Failures: v.Failures, Lapses: v.Lapses,
		LastError: web.TextOrNull(v.LastError), FailedAt: web.TimeOrNull(v.FailedAt)}
	if e := v.End; e.State != "" {
		out.AtEnd = &hourEndJSON{e.State, e.Files, e.Missing, e.Unbuilt, e.TooLate}
	}
	if a := v.Archive; a != nil {
		out.Files, out.Sessions, out.Size, out.Missing, out.Published = a.Files, a.Sessions, a.Size, a.MissingCount, web.TimeOrNull(a.Published)
	}
	return out
}

type hourHistoryJSON struct {
	Tenant     string     `json:"tenant"`
	Day        domain.Day `json:"day"`
	Now        string     `json:"now"`
	Hour       hourJSON   `json:"hour"`
	Wanted     int64      `json:"wanted"`
	Built      int64      `json:"built"`
	Dispatches int64      `json:"dispatches"`
	LeaseEnds  *string    `json:"leaseEndsAt"`
	Recheck    *string    `json:"recheckAt"`

	Archives []archiveJSON         `json:"archives"`
	Missing  []catalog.MissingFile `json:"missingFiles"`
	Faults   []faultJSON           `json:"faults"`
	Events   []audit.Entry         `json:"events"`
}

type archiveJSON struct {
	Revision  int64   `json:"revision"`
	State     string  `json:"state"`
	Deleted   bool    `json:"deleted"`
	Size      int64   `json:"sizeBytes"`
	Files     int     `json:"files"`
	Missing   int     `json:"missingFileCount"`
	StartedAt string  `json:"startedAt"`
	Published *string `json:"publishedAt"`
	LinksEnd  *string `json:"linksEndAt"`
	DeleteAt  *string `json:"deleteAt"`
	Locked    *string `json:"lockedUntil"`
}

// getHour is GET /api/admin/v1/tenants/{tenant}/days/{day}/hours/{hour}.
func (h *handler) getHour(r *http.Request) (any, error) {
	o, err := h.readHour(r)
	if err != nil {
		return nil, err
	}
	s := o.History
	out := hourHistoryJSON{Tenant: o.Tenant, Day: o.HourKey.Day, Now: web.Time(o.Day.Now), Hour: hourAnswer(o.View, o.Day.Downloads[o.Hour]),
		Wanted: s.Wanted, Built: s.Built, Dispatches: s.Dispatch, LeaseEnds: web.TimeOrNull(s.Lease), Recheck: web.TimeOrNull(s.Recheck),
		Faults: faultsAnswer(o.Faults), Archives: []archiveJSON{}, Missing: append([]catalog.MissingFile{}, s.Missing...), Events: append([]audit.Entry{}, o.Events...)}
	for _, a := range s.Archives {
		out.Archives = append(out.Archives, archiveJSON{a.Revision, a.State, a.Deleted, a.Size, a.Files, a.Missing, web.Time(a.Started),
			web.TimeOrNull(a.Published), web.TimeOrNull(a.LinksEnd), web.TimeOrNull(a.DeleteAt), web.TimeOrNull(a.Locked)})
	}
	return out, nil
}
