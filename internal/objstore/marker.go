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
	// maxBelow bounds the keys and folders below a prefix that are searched for other
	// installations. An installation further down finds this one's marker when it starts.
	maxBelow = 5000
)

// marker is the content of {prefix}/installation: the installation that owns the keys below the
// prefix.
type marker struct {
	Installation string `json:"installation"`
}

func markerKey(prefix string) string { return prefix + "/" + markerName }

// Owner returns the installation that owns the keys below prefix; "" when there is no marker.
// Errors: conflict, when the marker's key holds something else; unavailable.
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

// CheckOwner returns nil when installation id owns the keys below prefix, and no other installation
// owns a prefix around it. Errors: conflict (another owner), not_found (no owner yet), unavailable.
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

// Own marks the keys below prefix as installation id's. Errors: conflict, when another installation
// owns this prefix, one around it or one within it; unavailable.
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
	return b.CheckOwner(ctx, prefix, id) // another installation may have been faster
}

// Adopt marks the keys below prefix as installation id's, whoever owned them before.
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

// checkAbove reads the markers of the prefixes around this one, by their exact keys.
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

// CheckBelow searches the folders below prefix for markers of other installations, the upper
// folders first. Errors: conflict, unavailable.
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

// folders lists the folders directly in a folder that can be an archives prefix. Callvault's own
// folders cannot be one.
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
