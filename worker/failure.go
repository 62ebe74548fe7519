package worker

import (
	"context"
	"errors"
	"slices"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// failureOf says what the catalog is told about a build that failed. Final
// failures can't be helped by trying again soon.
func failureOf(err error) catalog.Failure {
	known := []struct {
		is      error
		kind    domain.Kind
		final   bool
		message string
	}{
		{archiver.ErrAllMissing, domain.KindAllMissing, true, "none of the hour's recordings is in the object store; upload the audio (PUT /api/ingest/v1/audio/KEY, or callvault import --audio), and the hour is built"},
		{archiver.ErrTooLarge, domain.KindTooLarge, true, "the archive would be larger than the object store takes"},
		{archiver.ErrInvalid, domain.KindBadCatalog, true, "a recording of this hour can't be archived as it was registered"},
		{archiver.ErrUnstable, domain.KindSourceFault, false, "the recordings kept changing while they were archived"},
		{archiver.ErrStalled, domain.KindStalled, false, "no byte moved for too long while the archive was built"},
		{context.DeadlineExceeded, domain.KindStalled, false, "a step of the build took too long"},
	}
	var all *archiver.AllMissingError
	if errors.As(err, &all) && !slices.ContainsFunc(all.Missing, func(m archiver.Missing) bool { return m.Reason != archiver.Unreadable }) {
		return catalog.Failure{Kind: domain.KindUnreadable, Final: true, Message: "none of the hour's recordings can be read: they are in cold storage, or their access is denied; " +
			"bring them back, or let callvault's user read them, and the hour is built within an hour"}
	}
	for _, k := range known {
		if errors.Is(err, k.is) {
			return catalog.Failure{Kind: k.kind, Message: k.message, Final: k.final}
		}
	}
	kind, message := domain.KindOf(err), domain.SafeMessage(err)
	if advice := objstore.Advice(err); advice != "" {
		message += "; " + advice
	}
	return catalog.Failure{
		Kind: kind, Message: message,
		Final: kind == domain.KindTooLarge || kind == domain.KindInvalid || kind == domain.KindRefused,
	}
}

// storeFailure keeps a store's "lost" and "not found" from being taken for the
// catalog's: an upload that is gone says nothing about the claim. Where ctx
// ended, why it did is the error.
func storeFailure(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	switch domain.KindOf(err) {
	case domain.KindLost:
		return domain.Wrap(domain.KindStoreFault, err, "the object store lost the upload")
	case domain.KindNotFound, domain.KindConflict:
		return domain.Wrap(domain.KindStoreFault, err, "the object store does not hold what was written")
	}
	return err
}
