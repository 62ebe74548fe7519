package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/ingest"
)

func TestParseDay(t *testing.T) {
	now := time.Date(2026, 3, 1, 1, 30, 0, 0, time.FixedZone("east", 2*3600)) // in UTC it is still February
	for text, want := range map[string]domain.Day{"today": "2026-02-28", "yesterday": "2026-02-27", "2025-12-12": "2025-12-12"} {
		if got, err := parseDay(text, now); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "tomorrow", "Today", "2026-02-30", "12.12.2025"} {
		var usage *usageError
		if got, err := parseDay(text, now); !errors.As(err, &usage) {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}

func TestOneIsOne(t *testing.T) {
	if got := (importJSON{}).text(); !strings.Contains(got, "0 agents, 0 conversations, 0 messages, 0 recordings, 0 totals;") {
		t.Error(got)
	}
	r := importJSON{Result: ingest.Result{Lines: 1, Counts: catalog.Counts{Agents: 1, Conversations: 1, Messages: 1, Recordings: 1, Changed: 1, TooLate: 1}}, AudioFiles: 1}
	want := "1 line taken in: 1 agent, 1 conversation, 1 message, 1 recording, 0 totals; 1 row new or changed; 1 audio file of 0 B, 0 of them stored before\n" +
		"1 recording is too late: its day is past retention, or ends before a build does; it is kept; " +
		"see: callvault archive --reopen; or, where its timestamp is wrong: callvault recording correct --timestamp"
	if got := r.text(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := (importJSON{Result: ingest.Result{Counts: catalog.Counts{Ahead: 1}}}).text(); !strings.Contains(got, "\nmore than a day ahead of the clock: 1 recording; kept, but look at their timestamps; a wrong one: callvault recording correct --timestamp") {
		t.Error(got)
	}
	if got := (archiveJSON{Tenant: "acme", Day: "2025-12-12", Due: 1, Waiting: 1}).text(); got != "2025-12-12 of acme: 1 hour was due; now 0 complete (0 no data), 1 pending, 0 failed" {
		t.Error(got)
	}
	if got := (archiveJSON{Tenant: "acme", Day: "2025-12-12", Due: 2, Complete: 23, Incomplete: 1, Empty: 22, MissingFiles: 1}).text(); got != "2025-12-12 of acme: 2 hours were due; now 23 complete (22 no data), 0 pending, 0 failed, 1 incomplete; 1 recording missing from the archives" {
		t.Error(got)
	}
	v := catalog.DayView{Short: 1, Surplus: 2, Totals: catalog.Totals{Hours: [24]*int64{7: new(int64(3)), 8: new(int64(0)), 9: new(int64(5))}, Registered: [24]int64{7: 2, 8: 2, 9: 5}}}
	for hour, want := range map[int]string{
		-1: "; not complete: 1 recording fewer than the platform's totals say; 2 recordings more than the platform's totals say (hour 07 has 2 of 3, hour 08 has 2 of 0)",
		7:  "; not complete: 1 recording fewer than the platform's totals say (hour 07 has 2 of 3)",
		9:  "0 failed",
	} {
		var r archiveJSON
		setHours(&r, v, hour)
		if got := r.text(); !strings.HasSuffix(got, want) {
			t.Errorf("hour %d: %s", hour, got)
		}
	}
}
