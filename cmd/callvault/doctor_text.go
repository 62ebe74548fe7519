package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/doctor"
)

// doctorText prints results, each thing once: checks that are skipped for one reason share a line,
// and advice that was given already is only referred to.
type doctorText struct {
	advised map[string]string // the first check that gave an advice
	skipped []doctor.Result   // for one reason, not printed yet
}

// next formats a result, after those that it held back.
func (t *doctorText) next(r doctor.Result) string {
	text := ""
	if len(t.skipped) > 0 && (r.Status != doctor.Skipped || r.Saw != t.skipped[0].Saw) {
		text = t.flush()
	}
	if r.Status == doctor.Skipped && r.Advice == "" {
		t.skipped = append(t.skipped, r)
		return text
	}
	if first := t.advised[r.Advice]; first != "" {
		r.Advice = "as for " + first
	} else if r.Advice != "" {
		t.advised[r.Advice] = r.Name
	}
	return text + resultText(r)
}

// flush formats the skipped checks that were held back.
func (t *doctorText) flush() string {
	if len(t.skipped) == 0 {
		return ""
	}
	r := t.skipped[0]
	if n := len(t.skipped); n > 1 {
		names := make([]string, n)
		for i, s := range t.skipped {
			names[i] = s.Name
		}
		r.Name, r.Saw = fmt.Sprintf("%d checks", n), r.Saw+": "+strings.Join(names, ", ")
	}
	t.skipped = nil
	return resultText(r)
}

// resultText formats a result: one line for each line of Saw, but none twice in a row, as drivers
// write that try one address in two ways, and one for the advice.
func resultText(r doctor.Result) string {
	mark := map[doctor.Status]string{doctor.OK: "ok", doctor.Warn: "WARN", doctor.Fail: "FAIL", doctor.Skipped: "-"}[r.Status]
	var b strings.Builder
	for i, line := range slices.Compact(strings.Split(r.Saw, "\n")) {
		name := r.Name
		if i > 0 {
			mark, name = "", ""
		}
		fmt.Fprintf(&b, "%-5s %-20s %s\n", mark, name, console.Clean(strings.ReplaceAll(line, "\t", "    ")))
	}
	if r.Advice != "" {
		fmt.Fprintf(&b, "%-5s %-20s → %s\n", "", "", console.Clean(r.Advice))
	}
	return b.String()
}
