package exports_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/callvault/callvault/api/exports"
	"github.com/callvault/callvault/api/internal/apitest"
)

// line makes a conversation's line from its id and further fields as JSON.
func line(id, more string) []byte {
	return []byte(`{"kind":"conversation","conversationId":` + string(quoted(id)) + `,"agentId":"a","startTime":"2024-01-15T10:30:00Z"` + more + "}\n")
}

// Unknown fields are null, not absent.
func TestBareConversation(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load("org_123", line("bare", ""))
		apitest.Golden(f, "bare.json", f.ask(jsonPath, jsonType, `{"conversationId":"bare"}`, "x-api-key", f.key).Body)
	})
}

// Free-form JSON keeps its order and the spelling of its numbers. Of user and agent only the known
// keys are exported.
func TestFreeForm(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load("org_123", []byte(`{"zeta":{"b":1.0,"a":[1e2,0.10]},"model":"m","kind":"agent","temperature":7e-1,"id":"not this","agentId":"a","alpha":null,"name":"Bot"}`))
		f.load("org_123", line("free", `,"baseCost":0.250,"totalCost":4.5e-1,"user":{"vip":true,"email":"e@x","score":1.50,"id":"u"},"postCallAnalysis":{"analysisData":{"z":1.0,"a":{"y":12345678901234567890,"b":"<&>"},"k":1E400},"analyzedAt":"2024-01-15T10:36:00.9Z"}`))
		d := f.export("free", "")
		for what, c := range map[string][2]string{
			"base cost":  {string(d.Conversation.BaseCost), `0.250`},
			"total cost": {string(d.Conversation.TotalCost), `4.5e-1`},
			"user":       {string(d.Conversation.User), `{"id":"u","name":null,"email":"e@x","phone":null,"company":null}`},
			"agent": {string(d.Conversation.Agent), `{"id":"a","name":"Bot","description":null,"model":"m","stt":null,"agentArchitecture":null,"realtimeProvider":null,` +
				`"enabledFunctions":null,"functionCallingEnabled":null,"enabledCustomFunctions":null,"greetingMessage":null,"greetingType":null,"temperature":7e-1,` +
				`"enabledPronunciations":null,"postCallAnalysisModel":null,"category":null,"mode":null,"inactivityTimeout":null}`},
			"analysis":         {string(d.Conversation.PostCallAnalysis.AnalysisData), `{"z":1.0,"a":{"y":12345678901234567890,"b":"<&>"},"k":1E400}`},
			"analyzed at":      {string(d.Conversation.PostCallAnalysis.AnalyzedAt), `"2024-01-15T10:36:00Z"`},
			"analysis' user":   {string(d.Conversation.PostCallAnalysis.User), `{"id":"u","name":null,"email":"e@x"}`},
			"analysis' agent":  {string(d.Conversation.PostCallAnalysis.Agent), `{"id":"a","name":"Bot","description":null,"model":"m"}`},
			"the agent's name": {*d.Conversation.AgentName, "Bot"},
		} {
			if c[0] != c[1] {
				f.Errorf("%s: got %s, want %s", what, c[0], c[1])
			}
		}
	})
}

// Raw transcripts are exported as they were ingested, JSON or not.
func TestRawTranscripts(t *testing.T) {
	onBoth(t, func(f *fixture) {
		for i, c := range []struct {
			raw    string
			parsed string
		}{
			{``, `[]`},
			{`agent: hello`, `[]`},
			{`[{"function":"a"},`, `[]`},
			{"quotes \" backslashes \\ lines \r\n\t \x01\x1f \x7f \u2028 <script>&amp; é€😀 \ufffd", `[]`},
			{`{"messages":[{"function":"a","arguments":"{\"k\": [1.0 , 2]}","offset":90.5}]}`, `[{"function":"a","parameters":{"k":[1.0,2]},"timestamp":"2024-01-15T10:31:30Z"}]`},
			{`[{"function":"a","result":"<b>"},{"function":"b","time":2e8,"args":null}]`,
				`[{"function":"a","parameters":{},"result":"<b>","timestamp":null},{"function":"b","parameters":{},"timestamp":"2030-05-18T06:03:20Z"}]`},
			{`[{"function":"far","time":9e8}]`, `[{"function":"far","parameters":{},"timestamp":"2052-07-23T02:30:00Z"}]`},
			{`[{"text":"a","speaker":"user"}]`, `[]`},
			{"[" + strings.Repeat(`{"speaker":"agent","text":"`+strings.Repeat(`\"x\n`, 50)+`"},`, 1000) + `{"function":"end"}]`, `[{"function":"end","parameters":{},"timestamp":null}]`},
		} {
			id := fmt.Sprintf("raw-%d", i)
			f.load("org_123", line(id, `,"transcript":{"raw":`+string(quoted(c.raw))+`}`))
			d := f.export(id, "")
			if d.Conversation.Transcript == nil || d.Conversation.Transcript.Raw != c.raw || string(d.Conversation.Transcript.Parsed) != c.parsed ||
				string(d.Conversation.FunctionCalls) != c.parsed || d.Summary["hasFunctionCalls"] != (c.parsed != "[]") || d.Summary["hasTranscript"] != true {
				f.Errorf("%.100q: got %.200s, %s, %v", c.raw, d.Conversation.Transcript.Raw, d.Conversation.Transcript.Parsed, d.Summary)
			}
			d = f.export(id, `,"includeTranscript":false`)
			if d.Conversation.Transcript != nil || string(d.Conversation.FunctionCalls) != "[]" || d.Summary["hasFunctionCalls"] != false {
				f.Errorf("%.100q: without transcript %v", c.raw, d)
			}
		}
	})
}

func TestSummary(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	for i, c := range []struct{ more, want, updated string }{
		{``, `null null,false,false,false`, "2024-01-15T10:30:00Z"},
		{`,"endTime":"2024-01-15T10:35:00Z"`, `300 300,true,false,false`, "2024-01-15T10:35:00Z"},
		{`,"endTime":"2024-01-15T10:30:00.25Z","sessionType":"telephony"`, `0.25 0.25,true,true,false`, "2024-01-15T10:30:00Z"},
		{`,"endTime":"2024-01-15T10:30:01.000001Z","lastActionAt":"2024-01-15T10:32:00+01:00"`, `1.000001 1.000001,true,false,false`, "2024-01-15T10:30:01Z"},
		{`,"endTime":"9999-12-31T23:59:59.5Z"`, `251696986199.5 251696986199.5,true,false,false`, "9999-12-31T23:59:59Z"},
		{`,"endTime":"2024-01-15T10:29:00Z","callerPhone":"+1","baseCost":0`, `0 0,true,true,true`, "2024-01-15T10:30:00Z"},
		{`,"calleePhone":"+1","sessionType":"webcall","totalCost":0.0,"lastActionAt":"2024-01-15T10:40:00.5Z"`, `null null,false,true,true`, "2024-01-15T10:40:00Z"},
		{`,"sessionType":"chat","transcript":{"raw":"","createdAt":"2024-01-16T00:00:00Z"}`, `null null,false,false,false`, "2024-01-16T00:00:00Z"},
		{`,"postCallAnalysis":{"analyzedAt":"2024-01-17T00:00:00Z"}`, `null null,false,false,false`, "2024-01-17T00:00:00Z"},
		{`,"recording":{"objectKey":"k","createdAt":"2024-01-18T00:00:00Z"}`, `null null,false,false,false`, "2024-01-18T00:00:00Z"},
	} {
		id := fmt.Sprintf("summary-%d", i)
		f.load("org_123", line(id, c.more))
		d := f.export(id, "")
		s, err := json.Marshal(d.Summary["duration"])
		f.must(err)
		got := fmt.Sprintf("%s %s,%v,%v,%v", d.Conversation.Duration, s, d.Summary["callCompleted"], d.Summary["isTelephonyCall"], d.Summary["hasBillingInfo"])
		if got != c.want || d.Conversation.UpdatedAt != c.updated || d.Conversation.CreatedAt != "2024-01-15T10:30:00Z" {
			t.Errorf("%s: got %s, updated %s; want %s, %s", c.more, got, d.Conversation.UpdatedAt, c.want, c.updated)
		}
	}
}

func TestFileNames(t *testing.T) {
	f := newFixture(t, apitest.SQLite(t), exports.Config{})
	for id, want := range map[string]string{
		"plain-1_2.3":               "plain-1_2.3",
		`a"b\c;d e`:                 "a_b_c_d_e",
		"../../etc/passwd":          ".._.._etc_passwd",
		"été":                       "_t_",
		strings.Repeat("long", 128): strings.Repeat("long", 50),
	} {
		f.load("org_123", line(id, ""))
		a := f.ask(jsonPath, jsonType, `{"conversationId":`+string(quoted(id))+`}`, "x-api-key", f.key)
		if got := a.Header.Get("Content-Disposition"); got != `attachment; filename="conversation-`+want+`-2024-01-15.json"` {
			t.Errorf("%q: %d %s", id, a.Status, got)
		}
	}
}
