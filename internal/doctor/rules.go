package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/lifecycle"
	"github.com/callvault/callvault/internal/objstore"
)

// installation checks that the prefix in the archives bucket is this installation's.
func (d *Doctor) installation(ctx context.Context) Result {
	id, err := d.catalog.Installation(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	b, prefix := d.archives, d.s.Config.Prefix
	if err = objstore.CheckOwner(ctx, b, prefix, id); err == nil {
		err = objstore.CheckBelow(ctx, b, prefix, id)
	}
	switch domain.KindOf(err) {
	case "":
		return pass("%s/%s/ is this installation's", b.Name(), prefix)
	case domain.KindConflict, domain.KindNotFound: // the message says what to do
		return failErr(err, "look whether CALLVAULT_DATABASE_URL, CALLVAULT_ARCHIVES_BUCKET and CALLVAULT_ARCHIVES_PREFIX belong together")
	}
	return failErr(err, "let the user of CALLVAULT_S3_ACCESS_KEY read and list "+b.Name()+" (s3:GetObject, s3:ListBucket)")
}

// erasures compares the orders in the archives bucket with the catalog, as roles do at their start.
func (d *Doctor) erasures(ctx context.Context) Result {
	missing, err := lifecycle.MissingErasures(ctx, d.catalog.DB(), d.archives, d.s.Config.Prefix)
	if err != nil {
		return failErr(err, "let the user of CALLVAULT_S3_ACCESS_KEY list "+d.archives.Name()+" (s3:ListBucket), and look whether the catalog answers")
	}
	if n := len(missing); n > 0 {
		return warn(fmt.Sprintf("orders in %s that the catalog lacks: %d, the first is %s", d.archives.Name(), n, missing[0]),
			"start the roles: they repeat what a restored catalog lacks, and serve nothing before")
	}
	return pass("the catalog has every order in %s", d.archives.Name())
}

// bucketRules looks for lifecycle rules that delete what callvault keeps, and for versions that
// stay when archives are deleted.
func (d *Doctor) bucketRules(ctx context.Context) Result {
	if d.store == nil {
		return skip("a directory has no rules, and keeps no versions")
	}
	longest, err := d.catalog.LongestRetention(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	// An archive is kept for one retention period after its day is complete, and for a second one
	// if the day is reopened.
	keepDays := 2*max(longest, d.s.Config.RetentionDays) + 30
	var saw, advice []string
	complain := func(what, todo string) {
		saw, advice = append(saw, what), append(advice, todo)
	}
	for _, b := range []*objstore.Bucket{d.store.Recordings(), d.store.Archives()} {
		list, err := b.Rules(ctx)
		if err != nil {
			complain(err.Error(), "let the user of CALLVAULT_S3_ACCESS_KEY read the rules (s3:GetLifecycleConfiguration on arn:aws:s3:::"+b.Name()+")")
		}
		for _, r := range list {
			ends := r.Ends
			if b == d.store.Archives() {
				if ends, err = d.endsArchives(ctx, r, keepDays); err != nil {
					return d.catalogFails(err)
				}
			}
			switch {
			case ends && b == d.store.Archives():
				complain(b.Name()+": "+ruleText(r), fmt.Sprintf("let the rule leave out what begins with %s, or wait for %d days", domain.ArchivesFolder(d.s.Config.Prefix), keepDays))
			case ends:
				complain(b.Name()+": "+ruleText(r), "let no rule end recordings: they are the original, and callvault never deletes them")
			}
		}
	}
	kept, err := d.store.Archives().KeepsVersions(ctx)
	if err != nil {
		complain(err.Error(), "let the user of CALLVAULT_S3_ACCESS_KEY ask (s3:GetBucketVersioning): where versions are kept, deleted archives stay stored until then")
	}
	if len(saw) > 0 {
		return warn(strings.Join(saw, "\n"), strings.Join(advice, "; "))
	}
	if kept {
		return pass("no rule ends recordings, or archives before their time; versions of archives are kept and deleted with them")
	}
	return pass("no rule ends recordings, or archives before their time")
}

// endsArchives reports whether a rule deletes archives before keepDays have passed. Archives that
// were built under another prefix are looked for in the catalog.
func (d *Doctor) endsArchives(ctx context.Context, r objstore.Rule, keepDays int) (bool, error) {
	if !r.Ends || r.Days >= keepDays {
		return false, nil
	}
	folder := domain.ArchivesFolder(d.s.Config.Prefix)
	if strings.HasPrefix(folder, r.Prefix) || strings.HasPrefix(r.Prefix, folder) {
		return true, nil
	}
	return d.catalog.HasArchivesUnder(ctx, r.Prefix)
}

func ruleText(r objstore.Rule) string {
	below := "objects"
	if r.Prefix != "" {
		below = fmt.Sprintf("what begins with %q", r.Prefix)
	}
	when := "on a date"
	if r.Days > 0 {
		when = fmt.Sprintf("after %d days", r.Days)
	}
	return fmt.Sprintf("the rule %q ends %s %s", r.ID, below, when)
}
