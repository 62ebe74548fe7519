package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/catalog"
)

// event is a line of the audit log as a page shows it.
type event struct {
	At     time.Time
	Actor  string
	What   string
	Detail string
}

func eventLines(list []catalog.AuditEntry) []event {
	out := make([]event, 0, len(list))
	for _, e := range list {
		what, detail := wording(e)
		out = append(out, event{e.At, e.Actor, what, detail})
	}
	return out
}

// wording puts a line into words.
func wording(e catalog.AuditEntry) (what, detail string) {
	var fields map[string]any
	if json.Unmarshal(e.Detail, &fields) != nil {
		return e.Action, string(e.Detail)
	}
	switch e.Action {
	case catalog.ActionDay:
		links, _ := fields["links"].([]any)
		return "links issued", joined(count(len(links), "link", "links"), about("valid until ", instant(fields["until"])), about("to ", fields["remote"]))
	case catalog.ActionDownload:
		return "download begun", joined(about("hour ", fields["hour"]), about("revision ", fields["revision"]),
			about("by a link valid until ", instant(fields["until"])), about("to ", fields["remote"]))
	case catalog.ActionArchive:
		return "rebuild asked for", joined(hours(fields), forced(fields), about("due: ", fields["due"]), about("from ", fields["remote"]))
	case catalog.ActionTenant:
		if list, ok := fields["changed"].(map[string]any); ok {
			return "tenant changed", joined(changes(list), about("from ", fields["remote"]))
		}
	case catalog.ActionCorrect:
		list, _ := fields["changed"].(map[string]any)
		return "recording corrected", joined(spelled(fields["object"]), changes(list), about("because: ", fields["reason"]), about("from ", fields["remote"]))
	case catalog.ActionReplaced:
		return "values replaced", joined(about("agents ", fields["agents"]), about("conversations ", fields["conversations"]), about("messages ", fields["messages"]),
			about("recordings ", fields["recordings"]), about("from ", fields["remote"]))
	case catalog.ActionRetry:
		return "retry asked for", joined(hours(fields), about("from ", fields["remote"]))
	}
	return e.Action, spelled(fields)
}

// changes lists what was changed from what to what.
func changes(list map[string]any) string {
	if len(list) == 0 {
		return "nothing, it was so before"
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		c, _ := list[name].(map[string]any)
		all = append(all, fmt.Sprintf("%s: %v → %v", name, told(c["from"]), told(c["to"])))
	}
	return strings.Join(all, ", ")
}

// told is a setting's value in words.
func told(value any) any {
	switch value {
	case true, false:
		return onOff(value == true)
	case "":
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

func forced(fields map[string]any) string {
	if fields["force"] == true {
		return "complete ones too"
	}
	return ""
}

// about is a value behind its label, "" when there is none.
func about(label string, value any) string {
	text := spelled(value)
	if text == "" {
		return ""
	}
	return label + text
}

// spelled puts a JSON value into words.
func spelled(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []any:
		list := make([]string, 0, len(v))
		for _, one := range v {
			list = append(list, spelled(one))
		}
		return strings.Join(list, " ")
	case map[string]any:
		list := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, about(name+" ", v[name]))
		}
		return joined(list...)
	}
	return fmt.Sprint(value)
}

// instant spells a time as the pages do.
func instant(value any) any {
	text, _ := value.(string)
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return when(t)
	}
	return value
}

func joined(parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, ", ")
}
