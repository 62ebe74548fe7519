package admin

import (
	"encoding/json"
	"fmt"
	"sort"
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
		return "download begun", joined(about("hour ", fields["hour"]), about("revision ", fields["revision"]), about("to ", fields["remote"]))
	case catalog.ActionArchive:
		return "rebuild asked for", joined(hours(fields), forced(fields), about("due: ", fields["due"]), about("from ", fields["remote"]))
	case catalog.ActionRetry:
		return "retry asked for", joined(hours(fields), about("from ", fields["remote"]))
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		names[i] = about(name+" ", fields[name])
	}
	return e.Action, strings.Join(names, ", ")
}

func hours(fields map[string]any) string {
	if hour, ok := fields["hour"].(float64); ok {
		return fmt.Sprintf("hour %02d", int(hour))
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
	if value == nil || value == "" {
		return ""
	}
	return label + fmt.Sprint(value)
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
