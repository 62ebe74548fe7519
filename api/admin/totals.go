package admin

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

type totalRequest struct {
	Day        string  `json:"day"`
	Hour       *string `json:"hour"`
	Recordings *int64  `json:"recordings"`
	Reason     string  `json:"reason"`
}

// readTotal reads which total a body names. Errors: KindInvalid, KindTooLarge, KindForbidden.
func (h *handler) readTotal(r *http.Request) (k catalog.TotalCorrection, err error) {
	var req totalRequest
	if err := h.readChange(r, &req); err != nil {
		return k, err
	}
	k = catalog.TotalCorrection{Tenant: chi.URLParam(r, "tenant"), Hour: domain.WholeDay, Recordings: req.Recordings, Reason: req.Reason, Origin: origin(r)}
	if k.Day, err = domain.ParseDay(req.Day); err != nil {
		return k, err
	}
	if req.Hour != nil {
		k.Hour, err = parseHour(*req.Hour)
	}
	return k, err
}

// postTotalCorrection is POST /api/admin/v1/tenants/{tenant}/totals/correct.
func (h *handler) postTotalCorrection(r *http.Request) (any, error) {
	k, err := h.readTotal(r)
	if err != nil {
		return nil, err
	}
	if k.Recordings == nil {
		return nil, domain.Errorf(domain.KindInvalid, "recordings is missing: how many recordings the day or hour should have")
	}
	return h.deps.Catalog.CorrectTotal(r.Context(), k)
}

// postTotalRemoval is POST /api/admin/v1/tenants/{tenant}/totals/remove.
func (h *handler) postTotalRemoval(r *http.Request) (any, error) {
	k, err := h.readTotal(r)
	if err != nil {
		return nil, err
	}
	if k.Recordings != nil {
		return nil, domain.Errorf(domain.KindInvalid, "recordings must not be given: a total is removed whatever its number is")
	}
	return h.deps.Catalog.CorrectTotal(r.Context(), k)
}

// totalOf reads which total the console's path names: "day", or an hour. Error: KindInvalid.
func totalOf(r *http.Request) (k catalog.TotalCorrection, err error) {
	k = catalog.TotalCorrection{Tenant: chi.URLParam(r, "tenant"), Hour: domain.WholeDay, Origin: origin(r)}
	if k.Day, err = domain.ParseDay(chi.URLParam(r, "day")); err != nil {
		return k, err
	}
	if hour := chi.URLParam(r, "hour"); hour != "day" {
		k.Hour, err = parseHour(hour)
	}
	return k, err
}

// askTotal is GET …/totals/{hour} of a day.
func (h *handler) askTotal(r *http.Request) (answer, error) {
	k, err := totalOf(r)
	if err != nil {
		return answer{}, err
	}
	return h.ask(question{Heading: "Correct the total of " + domain.Total{Day: k.Day, Hour: k.Hour}.Scope() + "?", Button: "Correct", Back: dayPath(k.Tenant, k.Day),
		Text: "A total is how many recordings the platform’s own records count. Where it is right and there are too few recordings, have the platform send the others instead.",
		Inputs: []input{
			{Label: "Recordings there should be, or the word “remove”", Name: "recordings", Required: true},
			{Label: "Reason", Name: "reason", Required: true},
		}})
}

// doTotal is POST …/totals/{hour}.
func (h *handler) doTotal(r *http.Request) (answer, error) {
	k, err := totalOf(r)
	if err != nil {
		return answer{}, err
	}
	if err := h.writable(); err != nil {
		return answer{}, err
	}
	k.Reason = strings.TrimSpace(r.PostFormValue("reason"))
	if text := strings.TrimSpace(r.PostFormValue("recordings")); text != "remove" { // a field left empty must remove nothing
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return answer{}, domain.Errorf(domain.KindInvalid, "%.20q is not a number of recordings; to remove the total, write remove", text)
		}
		k.Recordings = &n
	}
	_, err = h.deps.Catalog.CorrectTotal(r.Context(), k)
	return done(dayPath(k.Tenant, k.Day), "total", 0), err
}

// totalRow compares one total with what is registered.
type totalRow struct {
	Scope      string // "00" to "23", "" for the day's
	Total      int64
	Registered int64
	Path       string // where it is corrected
}

// Off says by how many recordings the total is not met or exceeded; "" where it is met.
func (t totalRow) Off() string {
	switch {
	case t.Registered < t.Total:
		return count(int(t.Total-t.Registered), "recording", "recordings") + " too few"
	case t.Registered > t.Total:
		return count(int(t.Registered-t.Total), "recording", "recordings") + " too many"
	}
	return ""
}

func totalRows(v catalog.DayView) (rows []totalRow) {
	v.Totals.Each(func(hour int, total, registered int64) {
		row := totalRow{Total: total, Registered: registered, Path: dayPath(v.Tenant, v.Day) + "/totals/day"}
		if hour != domain.WholeDay {
			row.Scope = domain.HourKey{Hour: hour}.HH()
			row.Path = dayPath(v.Tenant, v.Day) + "/totals/" + row.Scope
		}
		rows = append(rows, row)
	})
	return rows
}

type totalJSON struct {
	Hour       *string `json:"hour"` // nil for the day's
	Total      int64   `json:"total"`
	Registered int64   `json:"registered"`
}

func totalsAnswer(v catalog.DayView) []totalJSON {
	out := []totalJSON{}
	for _, row := range totalRows(v) {
		t := totalJSON{Total: row.Total, Registered: row.Registered}
		if row.Scope != "" {
			t.Hour = &row.Scope
		}
		out = append(out, t)
	}
	return out
}
