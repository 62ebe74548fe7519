package domain

import (
	"fmt"
	"reflect"
	"time"
)

// Features that a tenant can have; a new tenant has none.
const (
	FeatureRecordings = "daily_audio_recordings"
	FeatureExport     = "export_api"
)

// Hourly limits of a tenant.
const (
	defaultHourlyLimit = 5
	maxHourlyLimit     = 100_000
)

// NewTenant gives a tenant without features, with the defaults of its settings.
func NewTenant(id string, retentionDays int) Tenant {
	return Tenant{ID: id, RetentionDays: retentionDays, DayLimit: defaultHourlyLimit, DownloadLimit: defaultHourlyLimit}
}

// Setting is one setting of a tenant. A setting whose field is a bool is a feature.
type Setting struct {
	Name   string // in the audit log; in JSON it is the same, or an element of "features"
	Column string // of the catalog's table
	Title  string // of the column in lists
	About  string // what a feature gives the tenant
	// Field returns a pointer to the setting's field.
	Field func(t *Tenant) any
}

// Settings lists the settings. The catalog's SQL, the audit log, the lists of commands and the
// console's features are made from this table.
func Settings() []Setting {
	return []Setting{
		{"name", "name", "NAME", "", func(t *Tenant) any { return &t.Name }},
		{FeatureRecordings, "recordings", "RECORDINGS", "Nightly archives, the day's links and downloads.",
			func(t *Tenant) any { return &t.Recordings }},
		{FeatureExport, "export", "EXPORT API", "Bulk export of conversations and messages.", func(t *Tenant) any { return &t.Export }},
		{"retentionDays", "retention_days", "RETENTION DAYS", "", func(t *Tenant) any { return &t.RetentionDays }},
		{"sourceRetentionDays", "source_retention_days", "SOURCE RETENTION DAYS", "", func(t *Tenant) any { return &t.SourceRetentionDays }},
		{"dayLimit", "day_limit", "DAY LIMIT", "", func(t *Tenant) any { return &t.DayLimit }},
		{"downloadLimit", "download_limit", "DOWNLOAD LIMIT", "", func(t *Tenant) any { return &t.DownloadLimit }},
		{"keyPrefix", "key_prefix", "KEY PREFIX", "", func(t *Tenant) any { return &t.KeyPrefix }},
	}
}

// Check checks the id and all settings. Its error is KindInvalid.
func (t *Tenant) Check() error {
	if err := ValidTenantID(t.ID); err != nil {
		return err
	}
	if t.RetentionDays < MinRetentionDays || t.RetentionDays > MaxRetentionDays {
		return Errorf(KindInvalid, "retention days must be %d to %d, not %d", MinRetentionDays, MaxRetentionDays, t.RetentionDays)
	}
	if t.SourceRetentionDays < 0 || t.SourceRetentionDays > MaxSourceRetentionDays {
		return Errorf(KindInvalid, "source retention days must be 0, which keeps conversations for ever, or 1 to %d, not %d", MaxSourceRetentionDays, t.SourceRetentionDays)
	}
	if min(t.DayLimit, t.DownloadLimit) < 1 || max(t.DayLimit, t.DownloadLimit) > maxHourlyLimit {
		return Errorf(KindInvalid, "hourly limits must be 1 to %d", maxHourlyLimit)
	}
	if t.KeyPrefix != "" {
		return ValidKeyPrefix(t.KeyPrefix)
	}
	return nil
}

// Value returns the setting's value: a string, bool or int.
func (s Setting) Value(t Tenant) any { return reflect.ValueOf(s.Field(&t)).Elem().Interface() }

// Text returns the setting's value as lists show it.
func (s Setting) Text(t Tenant) string {
	switch value := s.Value(t); value {
	case true:
		return "on"
	case false:
		return "off"
	default:
		return fmt.Sprint(value)
	}
}

// IsFeature says whether a name is that of a feature.
func IsFeature(name string) bool { return new(Tenant).SetFeature(name, true) == nil }

// SetFeature switches a feature on or off. Error: KindNotFound when there is none of this name.
func (t *Tenant) SetFeature(name string, on bool) error {
	for _, s := range Settings() {
		if field, isFeature := s.Field(t).(*bool); isFeature && s.Name == name {
			*field = on
			return nil
		}
	}
	return Errorf(KindNotFound, "there is no feature %.40q", name)
}

// TenantJSON is a tenant as commands and the admin API show it.
type TenantJSON struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Features      []string `json:"features"`
	RetentionDays int      `json:"retentionDays"`
	DayLimit      int      `json:"dayLimit"`
	DownloadLimit int      `json:"downloadLimit"`
	KeyPrefix     string   `json:"keyPrefix"`

	SourceRetentionDays int        `json:"sourceRetentionDays"` // 0: for ever
	EndsFrom            *time.Time `json:"endsFrom,omitempty"`  // no conversation ends before, since the source retention was shortened
	ClosedAt            *time.Time `json:"closedAt,omitempty"`  // of a closed tenant
	CreatedAt           time.Time  `json:"createdAt"`           // in whole seconds, as all times here
}

// JSON returns the tenant as it is shown.
func (t *Tenant) JSON() TenantJSON {
	features := []string{}
	for _, s := range Settings() {
		if s.Value(*t) == true {
			features = append(features, s.Name)
		}
	}
	return TenantJSON{t.ID, t.Name, features, t.RetentionDays, t.DayLimit, t.DownloadLimit, t.KeyPrefix,
		t.SourceRetentionDays, seconds(t.EndsFrom), seconds(t.Closed), t.Created.UTC().Truncate(time.Second)}
}

// seconds gives a time in whole seconds; nil for none.
func seconds(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
