package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/holds"
	"github.com/callvault/callvault/internal/lifecycle"
)

// event is a line of the audit log on a page.
type event struct {
	At     time.Time
	Actor  string
	Action string // as the audit log has it
	What   string // the action in words
	Detail string
}

// eventLines describes lines of the audit log, with the days that they are about unless the page
// is of one day.
func eventLines(list []audit.Entry, withDay bool) []event {
	out := make([]event, 0, len(list))
	for _, e := range list {
		what, detail := describe(e)
		var about struct{ Day string }
		if withDay && what != e.Action && json.Unmarshal(e.Detail, &about) == nil { // without words detail has the day already
			detail = joinText(about.Day, detail)
		}
		out = append(out, event{e.At, e.Actor, e.Action, what, detail})
	}
	return out
}

// describe gives an action and its details in words.
func describe(e audit.Entry) (what, detail string) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(e.Detail))
	decoder.UseNumber() // as they are written: a float64 of 200,000,000 prints as 2e+08
	if decoder.Decode(&fields) != nil {
		return e.Action, string(e.Detail)
	}
	switch e.Action {
	case catalog.ActionDay:
		links, _ := fields["links"].([]any)
		return "links issued", joinText(count(len(links), "link", "links"), labelled("valid until ", timeText(fields["until"])), labelled("to ", fields["remote"]))
	case catalog.ActionDownload, catalog.ActionContinued:
		return strings.ReplaceAll(e.Action, ".", " "), joinText(labelled("hour ", fields["hour"]), labelled("revision ", fields["revision"]),
			labelled("by a link valid until ", timeText(fields["until"])), labelled("to ", fields["remote"]))
	case catalog.ActionArchive:
		return "rebuild asked for", joinText(hours(fields), forced(fields), labelled("due: ", fields["due"]), labelled("from ", fields["remote"]))
	case catalog.ActionTenant:
		if list, ok := fields["changed"].(map[string]any); ok {
			return "tenant changed", joinText(changes(list), endedDays(fields["endedDays"]), labelled("from ", fields["remote"]))
		}
	case holds.ActionCreate, holds.ActionRelease:
		return map[string]string{holds.ActionCreate: "hold created", holds.ActionRelease: "hold released"}[e.Action],
			joinText(valueText(fields["name"]), labelled("over ", fields["scope"]), labelled("because: ", fields["reason"]), labelled("from ", fields["remote"]))
	case lifecycle.ActionErasureAsk, lifecycle.ActionErasureRepeat, lifecycle.ActionErasureHide, lifecycle.ActionErasureProven, lifecycle.ActionErasureGone:
		return strings.ReplaceAll(e.Action, ".", " "), joinText(valueText(fields["erasure"]), labelled("because: ", fields["reason"]), labelled("from ", fields["remote"]))
	case catalog.ActionPublish:
		return "archive published", joinText(hours(fields), labelled("revision ", fields["revision"]), labelled("recordings: ", fields["files"]), labelled("missing: ", fields["missing"]))
	case catalog.ActionArchiveKeep:
		return "archive kept after all", joinText(labelled("hour ", fields["hour"]), labelled("revision ", fields["revision"]))
	case catalog.ActionArchiveDelete:
		return "archive deleted", joinText(labelled("hour ", fields["hour"]), labelled("revision ", fields["revision"]), labelled("because of ", fields["cause"]))
	case actionArchiveRead:
		return "archive read", joinText(labelled("hour ", fields["hour"]), labelled("revision ", fields["revision"]), labelled("from ", fields["remote"]))
	case catalog.ActionCorrect:
		list, _ := fields["changed"].(map[string]any)
		return "recording corrected", joinText(valueText(fields["object"]), changes(list), labelled("because: ", fields["reason"]), labelled("from ", fields["remote"]))
	case catalog.ActionMismatch:
		return "other bytes found", joinText(labelled("by ", fields["reader"]), labelled("recordings: ", fields["count"]), objects(fields["recordings"]), labelled("to ", fields["remote"]))
	case catalog.ActionTotalCorrect:
		return "total corrected", joinText(wholeDayOrHour(fields), labelled("from ", fields["from"]), labelled("to ", fields["to"]), labelled("because: ", fields["reason"]), labelled("from ", fields["remote"]))
	case catalog.ActionTotalRemove:
		return "total removed", joinText(wholeDayOrHour(fields), labelled("it was ", fields["from"]), labelled("because: ", fields["reason"]), labelled("from ", fields["remote"]))
	case catalog.ActionPatrolFault:
		return "found by the patrol", joinText(valueText(fields["reason"]), valueText(fields["object"]))
	case catalog.ActionPatrolMended:
		return "right again", valueText(fields["object"])
	case catalog.ActionPatrolRebuild:
		return "archive broken", joinText(valueText(fields["reason"]), valueText(fields["object"]), labelled("its bytes are kept until ", fields["keptUntil"]))
	case catalog.ActionReplaced:
		return "values replaced", joinText(labelled("agents ", fields["agents"]), labelled("conversations ", fields["conversations"]), labelled("messages ", fields["messages"]),
			labelled("recordings ", fields["recordings"]), labelled("from ", fields["remote"]))
	case catalog.ActionReopen:
		return "day reopened", joinText(labelled("recordings fewer than the totals: ", fields["shortBy"]), labelled("ended with unbuilt hours: ", fields["unbuiltHours"]), labelled("missing recordings: ", fields["missingFileCount"]),
			labelled("came too late: ", fields["tooLate"]), labelled("from ", fields["remote"]))
	case catalog.ActionRetry:
		return "retry asked for", joinText(hours(fields), labelled("from ", fields["remote"]))
	}
	return e.Action, valueText(fields)
}

// changes lists changed settings with their old and new values.
func changes(list map[string]any) string {
	if len(list) == 0 {
		return "nothing, it was so before"
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		c, _ := list[name].(map[string]any)
		all = append(all, fmt.Sprintf("%s: %v → %v", name, settingText(c["from"]), settingText(c["to"])))
	}
	return strings.Join(all, ", ")
}

// objects lists the object keys of recordings.
func objects(value any) string {
	list, _ := value.([]any)
	keys := make([]any, len(list))
	for i, one := range list {
		fields, _ := one.(map[string]any)
		keys[i] = fields["object"]
	}
	return valueText(keys)
}

// endedDays lists the days that a change of the retention ended.
func endedDays(value any) string {
	list, _ := value.([]any)
	days := make([]any, len(list))
	for i, one := range list {
		fields, _ := one.(map[string]any)
		days[i] = fields["day"]
	}
	return labelled("ended: ", days)
}

// settingText is a setting's value in words.
func settingText(value any) any {
	switch value {
	case true, false:
		return onOff(value == true)
	case "", nil:
		return "none"
	}
	return value
}

func hours(fields map[string]any) string {
	if hour, ok := fields["hour"].(string); ok {
		return "hour " + hour
	}
	return "all hours"
}

// wholeDayOrHour says which total a line is about.
func wholeDayOrHour(fields map[string]any) string {
	if fields["hour"] == nil {
		return "whole day"
	}
	return hours(fields)
}

func forced(fields map[string]any) string {
	if fields["force"] == true {
		return "complete ones too"
	}
	return ""
}

// labelled is a value behind its label, "" when there is no value.
func labelled(label string, value any) string {
	text := valueText(value)
	if text == "" {
		return ""
	}
	return label + text
}

// valueText is a JSON value in words.
func valueText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []any:
		list := make([]string, 0, len(v))
		for _, one := range v {
			list = append(list, valueText(one))
		}
		return strings.Join(list, " ")
	case map[string]any:
		list := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, labelled(name+" ", v[name]))
		}
		return joinText(list...)
	}
	return fmt.Sprint(value)
}

// timeText formats a time like the pages.
func timeText(value any) any {
	text, _ := value.(string)
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return when(t)
	}
	return value
}

// joinText joins the parts that are not empty.
func joinText(parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, ", ")
}
