package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/doctor"
)

// doctorText prints results, each thing once: checks that were skipped stand below all others,
// those of one reason in one line, and advice that was given already is only referred to.
type doctorText struct {
	advised map[string]string // the first check that gave an advice
	skipped []doctor.Result   // not printed yet
}

// next formats a result, or holds it back.
func (t *doctorText) next(r doctor.Result) string {
	if r.Status == doctor.Skipped && r.Advice == "" {
		t.skipped = append(t.skipped, r)
		return ""
	}
	if first := t.advised[r.Advice]; first != "" {
		r.Advice = "as for " + first
	} else if r.Advice != "" {
		t.advised[r.Advice] = r.Name
	}
	return resultText(r)
}

// rest formats what next held back.
func (t *doctorText) rest() string {
	names := map[string][]string{} // by reason
	for _, r := range t.skipped {
		names[r.Saw] = append(names[r.Saw], r.Name)
	}
	var b strings.Builder
	for _, r := range t.skipped {
		same := names[r.Saw]
		if same[0] != r.Name {
			continue
		}
		if n := len(same); n > 1 {
			r.Name, r.Saw = fmt.Sprintf("%d checks", n), r.Saw+": "+strings.Join(same, ", ")
		}
		b.WriteString(resultText(r))
	}
	return b.String()
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
