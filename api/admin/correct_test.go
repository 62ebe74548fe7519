package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// A recording that made its hour fail is corrected to another hour; both hours are rebuilt.
func TestCorrect(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		key, size := f.key("acme", f.day, 7), int64(5)
		rec := domain.Recording{ObjectKey: "acme/s/conf.wav", ConversationID: "c", SessionID: "s", MessageID: 5, Type: "t", Timestamp: f.day.Start().Add(7 * time.Hour), Size: &size}
		if _, err := f.catalog.Register(f.Context(), "acme", catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: rec}}}); err != nil {
			t.Fatal(err)
		}
		if err := f.catalog.Fail(f.Context(), f.claim(key), catalog.Failure{Kind: domain.KindAllMissing, Message: "no", Final: true,
			Missing: []catalog.MissingFile{{ObjectKey: rec.ObjectKey, MessageID: 5, Reason: catalog.ReasonSize}}}); err != nil {
			t.Fatal(err)
		}
		hour := "/tenants/acme/days/" + string(f.day) + "/hours/07"
		failed := f.call("GET", hour, "", 200)
		f.equal("missing files", failed["missingFiles"], "[map[messageId:5 objectKey:acme/s/conf.wav reason:size_changed]]")
		f.equal("missing in an archive", failed["hour"].(map[string]any)["missingFileCount"], 0) // there is none
		page := string(f.ask("GET", "/admin"+hour, "", "Cookie", f.session()).Body)
		f.equal("the page names it and says what helps", strings.Contains(page, "acme/s/conf.wav") && strings.Contains(page, "callvault recording correct --size"), true)

		const path = "/tenants/acme/recordings/correct"
		at := f.day.Start().Add(8*time.Hour + time.Second).Format(time.RFC3339)
		body := fmt.Sprintf(`{"objectKey":%q,"reason":"it has 11","sizeBytes":11,"timestamp":%q}`, rec.ObjectKey, at)
		done := f.call("POST", path, body, 200)
		f.equal("size", done["changed"].(map[string]any)["sizeBytes"], "map[from:5 to:11]")
		f.equal("hours", done["rebuiltHours"], fmt.Sprintf("[map[day:%s hour:07] map[day:%s hour:08]]", f.day, f.day))
		f.equal("again", f.call("POST", path, body, 200)["changed"], "map[]")
		for hour, want := range map[string]int{"07": 1, "08": 1, "09": 0} {
			f.equal("lines about "+hour, acted(f.call("GET", "/tenants/acme/days/"+string(f.day)+"/hours/"+hour, "", 200)), want)
		}
		page = string(f.ask("GET", "/admin"+hour, "", "Cookie", f.session()).Body)
		f.equal("the page tells of it", strings.Contains(page, "recording corrected") && strings.Contains(page, "sizeBytes: 5 → 11"), true)
		for body, status := range map[string]int{
			`{"objectKey":"acme/s/conf.wav","reason":"r"}`:                                           400,
			`{"objectKey":"acme/s/conf.wav","sizeBytes":1}`:                                          400,
			`{"objectKey":"acme/s/conf.wav","reason":"r","size":1}`:                                  400,
			`{"objectKey":"acme/s/other.wav","reason":"r","sizeBytes":1}`:                            404,
			`{"objectKey":"acme/s/conf.wav","reason":"r","timestamp":"2020-01-01T00:00:00Z"}`:        409,
			`{"objectKey":"acme/s/conf.wav","reason":"r","type":"` + strings.Repeat("x", 600) + `"}`: 400,
		} {
			f.call("POST", path, body, status)
		}
		f.equal("log", f.events("acme"), []string{"admin recording.correct"})
	})
}

func TestTotals(t *testing.T) {
	onBoth(t, nil, func(f *fixture) {
		lines := []catalog.Line[domain.Total]{{Number: 1, Value: domain.Total{Day: f.day, Hour: 7, Recordings: 3}}, {Number: 2, Value: domain.Total{Day: f.day, Hour: domain.WholeDay, Recordings: 3}}}
		if _, err := f.catalog.Register(t.Context(), "acme", catalog.Batch{Totals: lines}); err != nil {
			t.Fatal(err)
		}
		day := "/tenants/acme/days/" + string(f.day)
		found := f.call("GET", day, "", 200)
		f.equal("totals", found["totals"], "[map[hour:07 registered:0 total:3] map[hour:<nil> registered:0 total:3]]")
		f.equal("short", []any{found["shortBy"], found["surplus"]}, []any{3, 0})
		page := string(f.ask("GET", "/admin"+day, "", "Cookie", f.session()).Body)
		f.equal("the page shows both", strings.Count(page, "3 recordings too few"), 2)

		const correct, remove = "/tenants/acme/totals/correct", "/tenants/acme/totals/remove"
		body := func(more string) string { return fmt.Sprintf(`{"day":%q,"reason":"r"%s}`, f.day, more) }
		f.equal("corrected", f.call("POST", correct, body(`,"hour":"07","recordings":1`), 200), map[string]any{"day": f.day, "hour": "07", "from": 3, "to": 1, "registered": 0})
		f.equal("removed", f.call("POST", remove, body(""), 200), map[string]any{"day": f.day, "from": 3, "to": nil, "registered": 0})
		form := day + "/totals/07"
		f.equal("the form asks", strings.Contains(string(f.ask("GET", "/admin"+form, "", "Cookie", f.session()).Body), "Correct the total of "+string(f.day)+" 07:00?"), true)
		f.equal("the form without a number", f.ask("POST", "/admin"+form, "recordings=&reason=slip", "Cookie", f.session()).Status/100, 4)
		f.equal("the form", f.ask("POST", "/admin"+form, "recordings=0&reason=none+came", "Cookie", f.session()).Header.Get("Location"), "/admin"+day+"?done=total&n=0")
		f.equal("after it", f.call("GET", day, "", 200)["shortBy"], 0)
		for _, c := range []struct {
			path, body string
			status     int
		}{
			{correct, body(`,"hour":"7","recordings":1`), 400},
			{correct, body(""), 400},
			{correct, body(`,"recordings":-1`), 400},
			{correct, body(`,"hour":"08","recordings":1`), 404},
			{remove, body(`,"hour":"07","recordings":1`), 400},
			{remove, `{"day":"2025-02-30","reason":"r"}`, 400},
			{remove, fmt.Sprintf(`{"day":%q}`, f.day), 400},
		} {
			f.call("POST", c.path, c.body, c.status)
		}
		f.equal("log", f.events("acme"), []string{"admin total.correct", "admin total.remove", "admin total.correct"})
	})
}
