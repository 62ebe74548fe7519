package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/internal/auth"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/evidence"
)

// unsealedLong is how old an audit line may be that no checkpoint covers.
const unsealedLong = 15 * time.Minute

// log checks that the keys of the log can be read and that it is sealed. It does not recompute the
// log: callvault log verify does.
func (d *Doctor) log(ctx context.Context) Result {
	installation, err := d.catalog.Installation(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	_, err = auth.OpenLogKeys(ctx, d.catalog, d.s.Config.MasterKey.Reveal(), evidence.Origin(installation))
	if domain.KindOf(err) == domain.KindUnavailable && d.s.EmbeddedCatalog && d.s.Running == "" {
		return skip("the keys of the log are made when callvault standalone starts")
	}
	if err != nil {
		return failErr(err, "run: callvault migrate up, which makes them")
	}
	backlog, err := d.catalog.Backlog(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	saw := english.Plural(int(backlog.Log.Size), "leaf", "leaves")
	age := backlog.Now.Sub(backlog.Log.Oldest).Round(time.Second)
	switch {
	case backlog.Log.Gone > 0:
		return fail(fmt.Sprintf("%s; taken away before they had a number: %s", saw, english.Plural(int(backlog.Log.Gone), "audit line", "")), "run: callvault log verify, which names them")
	case !backlog.Log.Oldest.IsZero() && age > unsealedLong:
		return warn(fmt.Sprintf("%s; the oldest audit line without a checkpoint is %s old", saw, age), "see that a scheduler runs, and what it logs about the log")
	case backlog.Log.LostLately > 0:
		return warn(fmt.Sprintf("%s; rows of %d were lost within the last day, when the catalog was restored", saw, backlog.Log.LostLately), "run: callvault log verify, which says what explains them")
	}
	return pass("%s, and no audit line waits for longer than %s", saw, unsealedLong)
}
