package plan

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/callvault/callvault/internal/domain"
)

func TestClosedUntil(t *testing.T) {
	tests := []struct {
		name, line, now string
		until           domain.Day
		next            string
	}{
		{"just before the firing", "0 2 * * *", "2025-12-12T01:59:59Z", "2025-12-10", "2025-12-12T02:00:00Z"},
		{"at the firing", "0 2 * * *", "2025-12-12T02:00:00Z", "2025-12-11", "2025-12-13T02:00:00Z"},
		{"at midnight a day is over", "0 0 * * *", "2025-12-12T00:00:00Z", "2025-12-11", "2025-12-13T00:00:00Z"},
		{"a microsecond before midnight", "0 0 * * *", "2025-12-11T23:59:59.999999Z", "2025-12-10", "2025-12-12T00:00:00Z"},
		{"in the evening", "30 23 * * *", "2025-12-12T23:31:00Z", "2025-12-11", "2025-12-13T23:30:00Z"},
		{"every quarter", "*/15 * * * *", "2025-12-12T00:14:00Z", "2025-12-11", "2025-12-12T00:15:00Z"},
		{"mondays only", "0 2 * * 1", "2025-12-12T12:00:00Z", "2025-12-07", "2025-12-15T02:00:00Z"},
		{"monthly", "0 2 1 * *", "2025-12-31T12:00:00Z", "2025-11-30", "2026-01-01T02:00:00Z"},
		{"leap days only", "0 2 29 2 *", "2028-02-28T12:00:00Z", "2024-02-28", "2028-02-29T02:00:00Z"},
		{"year's end", "0 2 * * *", "2026-01-01T02:00:01Z", "2025-12-31", "2026-01-02T02:00:00Z"},
		{"another zone's noon", "0 2 * * *", "2025-12-12T03:30:00+02:00", "2025-12-10", "2025-12-12T02:00:00Z"},
		{"never", "0 0 30 2 *", "2025-12-12T12:00:00Z", "", ""},
	}
	for _, test := range tests {
		schedule, err := cron.ParseStandard("CRON_TZ=UTC " + test.line)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		until, next := closedUntil(schedule, now)
		got := ""
		if !next.IsZero() {
			got = next.UTC().Format(time.RFC3339)
		}
		if until != test.until || got != test.next {
			t.Errorf("%s: until %q, next %s; want %q, %s", test.name, until, got, test.until, test.next)
		}
	}
}

// The answer is kept until the next firing.
func TestClosedIsKept(t *testing.T) {
	counted := &countingSchedule{}
	p := &Planner{cfg: Config{Schedule: counted}}
	at := func(text string) domain.Day {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return p.lastClosed(&Report{Now: now})
	}
	at("2025-12-12T03:00:00Z")
	asked := counted.asked
	if at("2025-12-12T23:00:00Z") != "2025-12-11" || counted.asked != asked {
		t.Error("asked again before the next firing")
	}
	if at("2025-12-13T02:00:00Z") != "2025-12-12" {
		t.Error("a firing was missed")
	}
	if at("2025-12-12T03:00:00Z") != "2025-12-11" {
		t.Error("a clock that went back was missed")
	}
}

// countingSchedule fires daily at two.
type countingSchedule struct{ asked int }

func (c *countingSchedule) Next(t time.Time) time.Time {
	c.asked++
	next := t.UTC().Truncate(24 * time.Hour).Add(2 * time.Hour)
	for !next.After(t) {
		next = next.Add(24 * time.Hour)
	}
	return next
}
