package objstore

import (
	"context"
	"slices"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

// Match names the bytes of a key that are meant, as they were seen there.
type Match struct {
	ETag      string
	VersionID string // in a bucket that keeps versions; "" takes the newest one with this ETag
}

// RemoveMatch deletes the bytes under a key if they are the ones that are meant. Bytes that were
// written there since then stay, and the error is KindConflict. Missing bytes are no error.
//
// In a bucket that keeps versions it deletes the one that is meant, the versions before it and the
// delete markers, by their names. In any other bucket it compares the ETag in a request before the
// deletion, because few stores can delete on a condition: bytes that another program writes between
// these two requests are lost. callvault itself never writes to a key that is to be deleted.
func (b *Bucket) RemoveMatch(ctx context.Context, key string, m Match) error {
	if err := b.CheckKey(key); err != nil {
		return err
	}
	kept, err := b.keepsVersions(ctx)
	if err != nil {
		return err
	}
	info, err := b.store.core.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		err = b.absent(ctx, key, b.failure(ctx, "look up", key, err))
	}
	switch missing := domain.KindOf(err) == domain.KindNotFound; {
	case err != nil && !missing:
		return err
	case kept, err == nil && info.VersionID != "": // versions may have been switched on just now
		return b.removeMatchingVersions(ctx, key, m)
	case missing:
		return nil
	case info.ETag != m.ETag:
		return b.otherBytes(key)
	}
	return b.removeVersion(ctx, key, "")
}

func (b *Bucket) otherBytes(key string) error {
	return domain.Errorf(domain.KindConflict, "remove %s/%s: other bytes were written there since", b.name, key)
}

// removeMatchingVersions deletes the version that is meant and all before it. The one that is meant
// goes last, so that an interrupted removal makes no earlier version the current one.
func (b *Bucket) removeMatchingVersions(ctx context.Context, key string, m Match) error {
	for range versionRounds {
		list, err := b.versions(ctx, key)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(v minio.ObjectInfo) bool {
			return !v.IsDeleteMarker && v.ETag == m.ETag && (m.VersionID == "" || v.VersionID == m.VersionID)
		})
		newer := slices.ContainsFunc(list[:max(at, 0)], isVersion)
		if at < 0 {
			newer = slices.ContainsFunc(list, isVersion)
			at = len(list)
		}
		going := slices.Clone(list[at:])
		if !newer { // no version stays, so the delete markers go too
			going = slices.Clone(list)
			slices.SortStableFunc(going, func(a, b minio.ObjectInfo) int { return rank(b) - rank(a) })
		}
		for _, v := range slices.Backward(going) {
			if err := b.removeVersion(ctx, key, v.VersionID); err != nil {
				return err
			}
		}
		if len(list) < versionBatch {
			if newer {
				return b.otherBytes(key)
			}
			return nil
		}
	}
	return domain.Errorf(domain.KindUnavailable, "remove %s/%s: somebody keeps writing new versions of it", b.name, key)
}

func isVersion(v minio.ObjectInfo) bool { return !v.IsDeleteMarker }

// rank puts delete markers before versions. So they are deleted last, because without its marker a
// hidden version would be the current one again.
func rank(v minio.ObjectInfo) int {
	if v.IsDeleteMarker {
		return 1
	}
	return 0
}
