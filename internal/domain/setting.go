package domain

import (
	"slices"
	"strconv"
	"time"
)

// Features that a tenant can have; a new tenant has none.
const (
	FeatureRecordings = "daily_audio_recordings"
	FeatureExport     = "export_api"
)

// Default hourly limits of a tenant, and their maximum.
const (
	DefaultDayLimit      = 5
	DefaultDownloadLimit = 5
	maxHourlyLimit       = 100_000
)

// Setting is one setting of a tenant. A setting whose field is a bool is a feature.
type Setting struct {
	Name   string // in the audit log; in JSON it is the same, or an element of "features"
	Column string // of the catalog's table
	Title  string // of the column in lists
	About  string // what a feature gives the tenant
	field  func(t *Tenant) any
	check  func(t *Tenant) error // KindInvalid; nil when every value is valid
}

// Settings lists the settings. The catalog's SQL and the audit log, the lists of commands and the
// console's features are made from this table.
func Settings() []Setting {
	return []Setting{
		{Name: "name", Column: "name", Title: "NAME", field: func(t *Tenant) any { return &t.Name }},
		{Name: FeatureRecordings, Column: "recordings", Title: "RECORDINGS", About: "Nightly archives, the day's links and downloads.",
			field: func(t *Tenant) any { return &t.Recordings }},
		{Name: FeatureExport, Column: "export", Title: "EXPORT API", About: "Bulk export of conversations and messages.",
			field: func(t *Tenant) any { return &t.Export }},
		{Name: "retentionDays", Column: "retention_days", Title: "RETENTION DAYS", field: func(t *Tenant) any { return &t.RetentionDays },
			check: func(t *Tenant) error {
				if t.RetentionDays < MinRetentionDays || t.RetentionDays > MaxRetentionDays {
					return Errorf(KindInvalid, "retention days must be %d to %d, not %d", MinRetentionDays, MaxRetentionDays, t.RetentionDays)
				}
				return nil
			}},
		{Name: "dayLimit", Column: "day_limit", Title: "DAY LIMIT", field: func(t *Tenant) any { return &t.DayLimit },
			check: func(t *Tenant) error { return checkHourlyLimit(t.DayLimit) }},
		{Name: "downloadLimit", Column: "download_limit", Title: "DOWNLOAD LIMIT", field: func(t *Tenant) any { return &t.DownloadLimit },
			check: func(t *Tenant) error { return checkHourlyLimit(t.DownloadLimit) }},
		{Name: "keyPrefix", Column: "key_prefix", Title: "KEY PREFIX", field: func(t *Tenant) any { return &t.KeyPrefix },
			check: func(t *Tenant) error {
				if t.KeyPrefix == "" {
					return nil
				}
				return ValidKeyPrefix(t.KeyPrefix)
			}},
	}
}

func checkHourlyLimit(n int) error {
	if n < 1 || n > maxHourlyLimit {
		return Errorf(KindInvalid, "hourly limits must be 1 to %d", maxHourlyLimit)
	}
	return nil
}

// Field returns a pointer to the setting's field: a *string, *bool or *int.
func (s Setting) Field(t *Tenant) any { return s.field(t) }

// Value returns the setting's value.
func (s Setting) Value(t Tenant) any {
	switch field := s.field(&t).(type) {
	case *string:
		return *field
	case *bool:
		return *field
	case *int:
		return *field
	}
	return nil
}

// Text returns the setting's value as lists show it.
func (s Setting) Text(t Tenant) string {
	switch value := s.Value(t).(type) {
	case string:
		return value
	case int:
		return strconv.Itoa(value)
	case bool:
		if value {
			return "on"
		}
	}
	return "off"
}

// IsFeature says whether the setting is a feature.
func (s Setting) IsFeature() bool {
	_, is := s.field(&Tenant{}).(*bool)
	return is
}

// Features lists every feature's name.
func Features() (names []string) {
	for _, s := range Settings() {
		if s.IsFeature() {
			names = append(names, s.Name)
		}
	}
	return names
}

// SetFeature switches a feature on or off. Error: KindNotFound when there is none of this name.
func (t *Tenant) SetFeature(name string, on bool) error {
	for _, s := range Settings() {
		if field, is := s.field(t).(*bool); is && s.Name == name {
			*field = on
			return nil
		}
	}
	return Errorf(KindNotFound, "there is no feature %.40q", name)
}

// Check checks the id and all settings. Its error is KindInvalid.
func (t Tenant) Check() error {
	if err := ValidTenantID(t.ID); err != nil {
		return err
	}
	for _, s := range Settings() {
		if s.check != nil {
			if err := s.check(&t); err != nil {
				return err
			}
		}
	}
	return nil
}

// TenantJSON is a tenant as commands and the admin API show it.
type TenantJSON struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Features      []string  `json:"features"`
	RetentionDays int       `json:"retentionDays"`
	DayLimit      int       `json:"dayLimit"`
	DownloadLimit int       `json:"downloadLimit"`
	KeyPrefix     string    `json:"keyPrefix"`
	CreatedAt     time.Time `json:"createdAt"` // in whole seconds
}

// JSON returns the tenant as it is shown.
func (t Tenant) JSON() TenantJSON {
	features := slices.DeleteFunc(Settings(), func(s Setting) bool { return s.Value(t) != true })
	out := TenantJSON{ID: t.ID, Name: t.Name, Features: make([]string, 0, len(features)), RetentionDays: t.RetentionDays, DayLimit: t.DayLimit,
		DownloadLimit: t.DownloadLimit, KeyPrefix: t.KeyPrefix, CreatedAt: t.Created.UTC().Truncate(time.Second)}
	for _, s := range features {
		out.Features = append(out.Features, s.Name)
	}
	return out
}
