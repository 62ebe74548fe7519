package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/callvault/callvault/internal/domain"
)

type featureSwitch struct {
	Name, About string
	On          bool
	Switch      string // address of the page that asks before it switches
}

func switches(t domain.Tenant) (list []featureSwitch) {
	for _, s := range domain.Settings() {
		if on, isFeature := s.Value(t).(bool); isFeature {
			list = append(list, featureSwitch{s.Name, s.About, on, tenantPath(t.ID) + "/features/" + s.Name + "/" + onOff(!on)})
		}
	}
	return list
}

// readSwitch reads from the path which feature to switch, and whether on. Error: KindNotFound.
func readSwitch(r *http.Request) (name string, on bool, err error) {
	name, to := chi.URLParam(r, "feature"), chi.URLParam(r, "to")
	if to != "on" && to != "off" || !domain.IsFeature(name) {
		return "", false, domain.Errorf(domain.KindNotFound, "there is no such feature")
	}
	return name, to == "on", nil
}

// setFeature switches a feature of the path's tenant. Errors as of Actions, KindForbidden.
func (h *handler) setFeature(r *http.Request, name string, on bool) (domain.Tenant, error) {
	if err := h.writable(); err != nil {
		return domain.Tenant{}, err
	}
	return h.deps.Catalog.SetFeature(r.Context(), chi.URLParam(r, "tenant"), name, on, origin(r))
}

// askFeature is GET …/features/{feature}/{to}.
func (h *handler) askFeature(r *http.Request) (answer, error) {
	name, on, err := readSwitch(r)
	if err != nil {
		return answer{}, err
	}
	tenant := chi.URLParam(r, "tenant")
	text := "The tenant can use it with the next request."
	if !on {
		text = "The tenant's next request is refused, also by links that were issued. What is archived stays until its retention ends."
	}
	return h.ask(question{Heading: "Switch " + name + " " + onOff(on) + " for " + tenant + "?", Text: text,
		Button: "Switch " + onOff(on), Back: tenantPath(tenant)})
}

// doFeature is POST …/features/{feature}/{to}.
func (h *handler) doFeature(r *http.Request) (answer, error) {
	name, on, err := readSwitch(r)
	if err != nil {
		return answer{}, err
	}
	n := 0
	if on {
		n = 1
	}
	_, err = h.setFeature(r, name, on)
	return done(tenantPath(chi.URLParam(r, "tenant")), "feature", n), err
}

// putFeature is PUT /api/admin/v1/tenants/{tenant}/features/{feature}.
func (h *handler) putFeature(r *http.Request) (any, error) {
	var body struct {
		Enabled *bool `json:"enabled"`
	}
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	if body.Enabled == nil {
		return nil, domain.Errorf(domain.KindInvalid, "enabled is missing; use true or false")
	}
	t, err := h.setFeature(r, chi.URLParam(r, "feature"), *body.Enabled)
	return t.JSON(), err
}
