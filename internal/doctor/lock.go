package doctor

import (
	"cmp"
	"context"
	"fmt"

	"github.com/dustin/go-humanize/english"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/objstore"
)

// archivesLock checks that archives are locked as the settings say. It writes nothing: migrate up
// tries the lock.
func (d *Doctor) archivesLock(ctx context.Context) Result {
	mode := objstore.ParseLockMode(d.s.Config.ArchiveLock)
	if mode == objstore.NoLock || d.store == nil {
		return skip("new archives are not locked, and locks are not prolonged: CALLVAULT_ARCHIVES_LOCK is off")
	}
	b := d.store.Archives()
	if err := b.CheckLock(ctx); err != nil { // the message of a refusal says what to do
		return failErr(err, cmp.Or(objstore.Advice(err), "set CALLVAULT_ARCHIVES_BUCKET or CALLVAULT_ARCHIVES_LOCK"))
	}
	tried, err := d.catalog.StoreCapabilities(ctx, catalog.StoreKey{Endpoint: d.s.Config.S3Endpoint, Bucket: b.Name()})
	if err != nil {
		return d.catalogFails(err)
	}
	if !objstore.Tried(tried, objstore.LockNeeds(mode)) {
		return fail(fmt.Sprintf("%s was not tried for CALLVAULT_ARCHIVES_LOCK=%s; no role starts", b.Name(), mode), "run: callvault migrate up")
	}
	short, err := d.catalog.LocksShort(ctx)
	if err != nil {
		return d.catalogFails(err)
	}
	if short > 0 {
		return warn(fmt.Sprintf("locked for less long than kept: %s", english.Plural(int(short), "archive", "")),
			"wait for an hour if the lock was just turned on; else look into a worker's log for \"does not lock an archive\"")
	}
	return pass("%s has object lock, and every archive is locked (%s) for as long as it is kept", b.Name(), mode)
}
