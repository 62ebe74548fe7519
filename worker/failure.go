package worker

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/callvault/callvault/archiver"
	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// failureOf is what the catalog is told about a build that failed. A final failure is one that
// trying again soon can't change.
func failureOf(err error) catalog.Failure {
	if all := (*archiver.AllMissingError)(nil); errors.As(err, &all) {
		missing := missingOf(all.Missing)
		kind := domain.KindUnreadable
		if slices.ContainsFunc(missing, func(m catalog.MissingFile) bool { return m.Reason != catalog.ReasonUnreadable }) {
			kind = domain.KindAllMissing
		}
		message := "none of the hour's recordings could be archived; its page in the console names each with its reason. "
		return catalog.Failure{Kind: kind, Message: message + catalog.Advice(missing), Final: true, Missing: missing}
	}
	known := []struct {
		is      error
		kind    domain.Kind
		final   bool
		message string
	}{
		{archiver.ErrTooLarge, domain.KindTooLarge, true, "the archive would be larger than the object store takes"},
		{archiver.ErrInvalid, domain.KindBadCatalog, true, "a recording of this hour can't be archived as it was registered"},
		{archiver.ErrUnstable, domain.KindSourceFault, false, "the recordings kept changing while they were archived"},
		{archiver.ErrStalled, domain.KindStalled, false, "no byte moved for too long while the archive was built"},
		{context.DeadlineExceeded, domain.KindStalled, false, "a step of the build took too long"},
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

// missingOf translates the archiver's list of missing recordings into the catalog's.
func missingOf(list []archiver.Missing) []catalog.MissingFile {
	var out []catalog.MissingFile
	for _, m := range list {
		out = append(out, catalog.MissingFile{ObjectKey: m.Key, MessageID: m.MessageID, Reason: string(m.Reason), SHA256: m.SHA256})
	}
	return out
}

// maxKeysPerLine is how many recordings one line of the log names at most.
const maxKeysPerLine = 100

// logMissing names every recording that is not in its hour's archive.
func logMissing(log *zap.Logger, missing []catalog.MissingFile) {
	for some := range slices.Chunk(missing, maxKeysPerLine) {
		named := make([]string, 0, len(some))
		for _, m := range some {
			named = append(named, m.Reason+" "+m.ObjectKey)
		}
		log.Warn("recordings are not in the archive", zap.Strings("recordings", named))
	}
}

// storeFailure gives the cause when ctx has ended. Otherwise it changes the kinds of the store's
// errors that mean something else when the catalog gives them: an upload that is lost is no claim
// that is lost.
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
