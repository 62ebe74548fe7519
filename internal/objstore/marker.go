package objstore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/callvault/callvault/internal/domain"
)

const (
	markerName = "installation"
	maxMarker  = 1 << 10 // bytes
	// maxBelow is how many keys and folders below a prefix are looked through for other
	// installations. What lies deeper finds this installation's marker when it starts.
	maxBelow = 5000
)

// marker is what stands under {prefix}/installation: whose the keys below the prefix are.
type marker struct {
	Installation string `json:"installation"`
}

func markerKey(prefix string) string { return prefix + "/" + markerName }

// Owner gives the installation that the keys below prefix belong to; "" where none has marked them.
// Errors: conflict, when what stands in the marker's place is none; unavailable.
func (b *Bucket) Owner(ctx context.Context, prefix string) (string, error) {
	object, err := b.Get(ctx, markerKey(prefix), GetOptions{})
	if domain.KindOf(err) == domain.KindNotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(object.Body, maxMarker))
	if err := errors.Join(err, object.Body.Close()); err != nil {
		return "", err
	}
	var m marker
	if json.Unmarshal(text, &m) != nil || m.Installation == "" {
		return "", domain.Errorf(domain.KindConflict, "%s/%s is no marker of callvault's; choose another CALLVAULT_ARCHIVES_PREFIX or bucket, or delete that object where it is nobody's",
			b.name, markerKey(prefix))
	}
	return m.Installation, nil
}

// CheckOwner is nil when the keys below prefix are marked as id's and lie below no other
// installation's. Errors: conflict (another's), not_found (nobody's yet), unavailable.
func (b *Bucket) CheckOwner(ctx context.Context, prefix, id string) error {
	if err := b.checkAbove(ctx, prefix, id); err != nil {
		return err
	}
	owner, err := b.Owner(ctx, prefix)
	switch {
	case err != nil:
		return err
	case owner == "":
		return domain.Errorf(domain.KindNotFound, "the bucket %s has no %s yet; run: callvault migrate up, or correct CALLVAULT_ARCHIVES_BUCKET and CALLVAULT_ARCHIVES_PREFIX",
			b.name, markerKey(prefix))
	case owner != id:
		return domain.Errorf(domain.KindConflict, "%s/%s names another installation of callvault; choose another CALLVAULT_ARCHIVES_PREFIX or bucket, "+
			"or, where that one's catalog is lost for good, run: callvault migrate up --adopt-bucket", b.name, markerKey(prefix))
	}
	return nil
}

// Own marks the keys below prefix as id's. Errors: conflict, when they, keys that they lie below, or
// some of them are another installation's; unavailable.
func (b *Bucket) Own(ctx context.Context, prefix, id string) error {
	err := b.CheckOwner(ctx, prefix, id)
	fresh := domain.KindOf(err) == domain.KindNotFound
	if err != nil && !fresh {
		return err
	}
	if err := b.CheckBelow(ctx, prefix, id); err != nil || !fresh {
		return err
	}
	if err := b.mark(ctx, prefix, id, PutOptions{IfNoneMatch: true}); err != nil && domain.KindOf(err) != domain.KindConflict {
		return err
	}
	return b.CheckOwner(ctx, prefix, id) // another one may have been faster
}

// Adopt marks the keys below prefix as id's, whosever they were.
func (b *Bucket) Adopt(ctx context.Context, prefix, id string) error {
	return b.mark(ctx, prefix, id, PutOptions{})
}

func (b *Bucket) mark(ctx context.Context, prefix, id string, opts PutOptions) error {
	text, err := json.Marshal(marker{id})
	if err != nil {
		return err
	}
	opts.ContentType = "application/json"
	_, err = b.Put(ctx, markerKey(prefix), text, opts)
	return err
}

// checkAbove asks by exact keys for the markers of the prefixes that this one lies below.
func (b *Bucket) checkAbove(ctx context.Context, prefix, id string) error {
	for at := strings.LastIndexByte(prefix, '/'); at > 0; at = strings.LastIndexByte(prefix[:at], '/') {
		if err := b.checkNested(ctx, prefix[:at], prefix, id); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) checkNested(ctx context.Context, where, prefix, id string) error {
	owner, err := b.Owner(ctx, where)
	if err == nil && owner != "" && owner != id {
		return domain.Errorf(domain.KindConflict, "%s/%s names another installation of callvault, and %s/ must not lie within or around its keys; "+
			"choose another CALLVAULT_ARCHIVES_PREFIX or bucket, or delete that object where its installation is no more", b.name, markerKey(where), prefix)
	}
	return err
}

// CheckBelow looks through the folders below prefix for markers of other installations, the upper
// ones first. Nothing is deleted by what it finds. Errors: conflict, unavailable.
func (b *Bucket) CheckBelow(ctx context.Context, prefix, id string) error {
	left := maxBelow
	for level := []string{prefix}; len(level) > 0 && left > 0; {
		var next []string
		for _, folder := range level {
			below, err := b.folders(ctx, folder, &left)
			if err != nil {
				return err
			}
			for _, f := range below {
				if err := b.checkNested(ctx, f, prefix, id); err != nil {
					return err
				}
			}
			next = append(next, below...)
		}
		level = next
	}
	return nil
}

// folders lists what could be prefixes right below a folder. Callvault's own folders can be none.
func (b *Bucket) folders(ctx context.Context, folder string, left *int) ([]string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var list []string
	for o := range b.store.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: folder + "/"}) {
		if o.Err != nil {
			return nil, b.failure(ctx, "list (s3:ListBucket)", folder+"/", o.Err)
		}
		if *left--; *left <= 0 {
			break
		}
		name, isFolder := strings.CutSuffix(o.Key, "/")
		if isFolder && domain.CheckArchivesPrefix(name) == nil {
			list = append(list, name)
		}
	}
	return list, nil
}
