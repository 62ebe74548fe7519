package ingest_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
)

// TestLongFormerValues replaces long values by short ones, by others of their length and by
// nothing.
func TestLongFormerValues(t *testing.T) {
	onBoth(t, func(t *testing.T, c *catalog.Catalog, _ *sql.DB) {
		long, other := strings.Repeat("ä", 200_000), strings.Repeat("b", 400_000)
		values := []string{long, "x", long, "", other, long, "ü" + long + "y", long + "y", "x"}
		var want []string
		for i, v := range values {
			value := fmt.Sprintf("%q", v)
			if v == "" {
				value = "null"
			}
			line := fmt.Sprintf(`{"kind":"conversation","conversationId":"c","agentId":"a","startTime":"2024-01-15T10:30:00Z","transcript":{"raw":%s}}`, value)
			if n := send(t, c, "t", line).Changed; n != 1 {
				t.Errorf("value %d changed %d rows", i, n)
			}
			if v != "" && i < len(values)-1 {
				want = append([]string{"transcript.raw=" + value}, want...)
			}
		}
		got := formers(t, c, "t", "conversation", "c")
		if len(got) != len(want) {
			t.Fatalf("%d former values, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("former value %d is %.20s… of %d bytes, want %.20s… of %d", i, got[i], len(got[i]), want[i], len(want[i]))
			}
		}
	})
}

// TestManyMerges merges more conversations in a batch than one statement takes.
func TestManyMerges(t *testing.T) {
	const n = 1100
	onBoth(t, func(t *testing.T, c *catalog.Catalog, rows *sql.DB) {
		all := func(more func(i int) string) (lines []string) {
			for i := range n {
				lines = append(lines, fmt.Sprintf(`{"kind":"conversation","conversationId":"c%d","agentId":"a","startTime":"2024-01-15T10:30:00Z"%s}`, i, more(i)))
			}
			return lines
		}
		send(t, c, "t", all(func(int) string { return `,"externalConversationId":"e","metadata":{"a":1}` })...)
		for _, s := range []struct {
			more    func(i int) string
			changed int
		}{
			{func(int) string { return `,"metadata":{"a":1}` }, 0},
			{func(i int) string { return fmt.Sprintf(`,"metadata":{"a":%d}`, 1+i%2) }, n / 2},
			{func(int) string { return `,"externalConversationId":null,"agentId2":1,"transcript":{"raw":"[]"}` }, n},
			{func(int) string { return `,"transcript":null` }, n},
		} {
			if got := send(t, c, "t", all(s.more)...).Changed; got != s.changed {
				t.Errorf("%s changed %d rows, want %d", s.more(1), got, s.changed)
			}
		}
		expect(t, scan(t, rows, "count(*)", "history"), fmt.Sprint(n/2+n+n))
		expect(t, scan(t, rows, "count(*)", "transcripts"), "0")
	})
}
