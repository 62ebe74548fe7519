package domain

import (
	"cmp"
	"fmt"
	"time"
)

// Day is a UTC calendar day in the form YYYY-MM-DD. Days sort as text.
type Day string

const dayLayout = "2006-01-02"

// ParseDay accepts strictly YYYY-MM-DD in ASCII and only real dates from year 1 on.
// Its error is KindInvalid.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(dayLayout, s)
	if err != nil || len(s) != len(dayLayout) || t.Year() < 1 {
		return "", Errorf(KindInvalid, "%.40q is not a day; use YYYY-MM-DD, for example 2025-12-12", s)
	}
	return Day(s), nil
}

// DayOf gives the UTC day that t falls in.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(dayLayout)) }

// Start is the day's first instant.
func (d Day) Start() time.Time {
	t, _ := time.Parse(dayLayout, string(d)) // a Day is only made by ParseDay or DayOf
	return t
}

// End is the first instant after the day.
func (d Day) End() time.Time { return d.Start().AddDate(0, 0, 1) }

// Add gives the day n days later (earlier when negative).
func (d Day) Add(n int) Day { return DayOf(d.Start().AddDate(0, 0, n)) }

// Compact is the day as YYYYMMDD.
func (d Day) Compact() string { return d.Start().Format("20060102") }

// HourKey names one hour of one tenant's day.
type HourKey struct {
	Tenant string
	Day    Day
	Hour   int // 0 to 23
}

// HourOf gives the key of the hour that a recording's timestamp belongs to.
func HourOf(tenant string, t time.Time) HourKey {
	return HourKey{Tenant: tenant, Day: DayOf(t), Hour: t.UTC().Hour()}
}

// HH is the hour in two digits.
func (k HourKey) HH() string { return fmt.Sprintf("%02d", k.Hour) }

// End is the first instant after the hour.
func (k HourKey) End() time.Time { return k.Day.Start().Add(time.Duration(k.Hour+1) * time.Hour) }

// String gives tenant/day/hour.
func (k HourKey) String() string { return k.Tenant + "/" + string(k.Day) + "/" + k.HH() }

// Compare orders keys by tenant, day, hour: the order in which rows are locked.
func (k HourKey) Compare(o HourKey) int {
	return cmp.Or(cmp.Compare(k.Tenant, o.Tenant), cmp.Compare(k.Day, o.Day), cmp.Compare(k.Hour, o.Hour))
}

// ArchiveKey is the object key of one revision's ZIP below an installation's prefix. The token
// makes it unique, so that a key is never written twice even when two builders build the same
// revision.
func (k HourKey) ArchiveKey(prefix string, revision int64, token string) string {
	return fmt.Sprintf("%s%s/%s/%s/%d-%s.zip", ArchivesFolder(prefix), k.Tenant, k.Day, k.HH(), revision, token)
}

// ArchiveFolder is the folder of the keys of all revisions of the hour.
func (k HourKey) ArchiveFolder(prefix string) string {
	return ArchivesFolder(prefix) + k.String()
}
