package catalog

import "github.com/callvault/callvault/internal/domain"

// tenantDetail is the detail of a tenant's line in the audit log: all settings of a new tenant, or
// the changed ones with the values before and after.
type tenantDetail struct {
	Settings map[string]any     `json:"settings,omitempty"`
	Changed  *map[string]fromTo `json:"changed,omitempty"`
	Remote   string             `json:"remote,omitempty"`
	Request  string             `json:"request,omitempty"`
}

type fromTo struct {
	From any `json:"from"`
	To   any `json:"to"`
}

// settings gives a tenant's settings by their names in the admin API.
func settings(t domain.Tenant) map[string]any {
	values := map[string]any{}
	for _, s := range domain.Settings() {
		values[s.Name] = s.Value(t)
	}
	return values
}

// changedSettings gives the settings that differ between two states of a tenant.
func changedSettings(before, after domain.Tenant) map[string]fromTo {
	changed, was := map[string]fromTo{}, settings(before)
	for name, is := range settings(after) {
		if is != was[name] {
			changed[name] = fromTo{was[name], is}
		}
	}
	return changed
}
