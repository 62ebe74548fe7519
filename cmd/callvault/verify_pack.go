package main

import (
	"context"
	"fmt"
	"io"

	humanize "github.com/dustin/go-humanize"

	"github.com/callvault/callvault/client/evidence"
)

// verifyPacks checks evidence packs one after the other, and prints what it finds. It returns their
// reports.
func (c *verifyCmd) verifyPacks(ctx context.Context, out io.Writer, targets *verifyTargets) error {
	for _, dir := range targets.packs {
		r, err := evidence.Verify(ctx, dir, targets.keys)
		if err != nil {
			return err
		}
		targets.reports = append(targets.reports, r)
		if c.JSON {
			continue
		}
		if err := printClean(out, packLines(&r)...); err != nil {
			return err
		}
	}
	return nil
}

// packLines has a line for a pack, and one for each problem.
func packLines(r *evidence.Report) []string {
	state := "ok    "
	if !r.OK() {
		state = "BROKEN"
	}
	archives := ""
	if r.Archives > 0 {
		archives = ", " + count(r.Archives, "archive")
	}
	lines := []string{fmt.Sprintf("%s  %s  evidence of %s, %s to %s: %s, %s%s", state, r.Path, tenantOrInstallation(r.Tenant), r.From, r.To, count(int(r.Lines), "line"), count(int(r.Seals), "seal"), archives)}
	for _, p := range r.Problems {
		lines = append(lines, "        "+p.String())
	}
	if r.MoreProblems > 0 {
		lines = append(lines, fmt.Sprintf("        and %d more", r.MoreProblems))
	}
	switch {
	case r.Proven && r.OK():
		lines = append(lines, fmt.Sprintf("        proven by a checkpoint of the log %s of %s leaves; it cannot prove that nothing was left out when it was made", r.Log, humanize.Comma(r.LogSize)))
	case !r.Proven && r.OK():
		lines = append(lines, "        only keys of the pack itself have checked the log's signature, so nothing is proven; name the log's public key with --log-key")
	}
	if r.Unplaced > 0 {
		lines = append(lines, fmt.Sprintf("        lines and seals that are not in it, since they had no number in the log yet: %d", r.Unplaced))
	}
	if r.Unsealed > 0 {
		lines = append(lines, fmt.Sprintf("        no seal names %s of it; only their bytes when the pack was made are proven", count(int(r.Unsealed), "archive")))
	}
	return lines
}

// packsOK reports whether all packs are good.
func (w *verifyTargets) packsOK() bool {
	for i := range w.reports {
		if !w.reports[i].OK() {
			return false
		}
	}
	return true
}
