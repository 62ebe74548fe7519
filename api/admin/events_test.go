package admin

import (
	"encoding/json"
	"testing"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
)

// TestDescribe describes audit lines in words, also lines that former versions wrote.
func TestDescribe(t *testing.T) {
	for _, c := range []struct{ action, detail, want string }{
		{catalog.ActionTenant, `{"changed":{"retentionDays":{"from":3,"to":7},"export_api":{"from":false,"to":true},"name":{"from":"","to":"Acme"}},"remote":"192.0.2.1"}`,
			"tenant changed: export_api: off → on, name: none → Acme, retentionDays: 3 → 7, from 192.0.2.1"},
		{catalog.ActionTenant, `{"changed":{"retentionDays":{"from":7,"to":3}},"endedDays":[{"day":"2025-12-01"},{"day":"2025-12-02"}]}`, "tenant changed: retentionDays: 7 → 3, ended: 2025-12-01 2025-12-02"},
		{catalog.ActionTenant, `{"changed":{}}`, "tenant changed: nothing, it was so before"},
		{catalog.ActionTenant, `{"feature":"export_api","enabled":true}`, "tenant.set: enabled true, feature export_api"},
		{catalog.ActionArchive, `{"day":"2025-12-12","hour":"08","force":true,"due":1}`, "rebuild asked for: hour 08, complete ones too, due: 1"},
		{catalog.ActionReplaced, `{"conversations":{"replaced":1,"cleared":3},"recordings":{"replaced":2,"cleared":0},"remote":"192.0.2.1","request":"r"}`,
			"values replaced: conversations cleared 3, replaced 1, recordings cleared 0, replaced 2, from 192.0.2.1"},
		{catalog.ActionTotalCorrect, `{"day":"2025-12-12","hour":"14","from":3,"to":1,"reason":"r"}`, "total corrected: hour 14, from 3, to 1, because: r"},
		{catalog.ActionTotalRemove, `{"day":"2025-12-12","from":3,"reason":"r"}`, "total removed: whole day, it was 3, because: r"},
		{catalog.ActionPublish, `{"day":"2025-12-12","hour":"14","revision":2,"objectKey":"k","size":5,"files":4,"missing":0,"manifestSha256":"f5"}`,
			"archive published: hour 14, revision 2, recordings: 4, missing: 0"},
		{catalog.ActionPatrolFault, `{"day":"2025-12-12","hour":"14","object":"k","reason":"not_found"}`, "found by the patrol: not_found, k"},
		{catalog.ActionCorrect, `{"object":"k","reason":"r","changed":{"sizeBytes":{"from":200000000,"to":null}}}`, "recording corrected: k, sizeBytes: 200000000 → none, because: r"},
		{"bulk.walk", `{"start":1700000000,"end":1.5e3,"remote":"192.0.2.1"}`, "bulk.walk: end 1.5e3, remote 192.0.2.1, start 1700000000"},
		{catalog.ActionReopen, `{"day":"2025-12-12","cutShort":true,"unbuiltHours":1,"tooLate":2000000}`, "day reopened: ended with unbuilt hours: 1, came too late: 2000000"},
		{catalog.ActionRetry, `{"day":"2025-12-12","force":false,"due":1}`, "retry asked for: all hours"},
		{catalog.ActionDownload, `{"day":"2025-12-12","hour":"08","revision":1,"object":"k","until":"2025-12-13T13:00:01.512345Z","remote":"192.0.2.1"}`,
			"download begun: hour 08, revision 1, by a link valid until 2025-12-13 13:00:01, to 192.0.2.1"},
		{catalog.ActionDownload, `{"day":"2025-12-12","hour":"08","revision":1,"remote":"192.0.2.1"}`, "download begun: hour 08, revision 1, to 192.0.2.1"},
		{catalog.ActionContinued, `{"day":"2025-12-12","hour":"08","revision":1,"continues":true,"remote":"192.0.2.1"}`, "download continued: hour 08, revision 1, to 192.0.2.1"},
	} {
		what, detail := describe(audit.Entry{Action: c.action, Detail: json.RawMessage(c.detail)})
		if got := what + ": " + detail; got != c.want {
			t.Errorf("%s %s: %q, want %q", c.action, c.detail, got, c.want)
		}
	}
}

// A tenant's page says of which day a line is.
func TestEventLinesWithDay(t *testing.T) {
	list := []audit.Entry{
		{Action: catalog.ActionRetry, Detail: json.RawMessage(`{"day":"2025-12-12","hour":"08"}`)},
		{Action: catalog.ActionRetry, Detail: json.RawMessage(`{"hour":"08"}`)},
		{Action: "other", Detail: json.RawMessage(`{"day":"2025-12-12"}`)},
	}
	for i, want := range []string{"2025-12-12, hour 08", "hour 08", "day 2025-12-12"} {
		if got := eventLines(list, true)[i].Detail; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := eventLines(list, false)[0].Detail; got != "hour 08" {
		t.Errorf("on a day's page: %q", got)
	}
}
