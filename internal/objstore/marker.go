package objstore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
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

// Marked is a bucket whose keys are marked as an installation's.
type Marked interface {
	Name() string
	Get(ctx context.Context, key string, opts GetOptions) (*Object, error)
	Put(ctx context.Context, key string, data []byte, opts PutOptions) (etag string, err error)
	Folders(ctx context.Context, folder string, most int) (folders []string, looked int, err error)
}

func markerKey(prefix string) string { return prefix + "/" + markerName }

// Owner returns the installation that owns the keys below prefix; "" when there is no marker.
// Errors: conflict, when the marker's key holds something else; unavailable.
func Owner(ctx context.Context, b Marked, prefix string) (string, error) {
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
			b.Name(), markerKey(prefix))
	}
	return m.Installation, nil
}

// CheckOwner returns nil when installation id owns the keys below prefix, and no other installation
// owns a prefix around it. Errors: conflict (another owner), not_found (no owner yet), unavailable.
func CheckOwner(ctx context.Context, b Marked, prefix, id string) error {
	if err := checkAbove(ctx, b, prefix, id); err != nil {
		return err
	}
	owner, err := Owner(ctx, b, prefix)
	switch {
	case err != nil:
		return err
	case owner == "":
		return domain.Errorf(domain.KindNotFound, "the bucket %s has no %s yet; run: callvault migrate up, or correct CALLVAULT_ARCHIVES_BUCKET and CALLVAULT_ARCHIVES_PREFIX",
			b.Name(), markerKey(prefix))
	case owner != id:
		return domain.Errorf(domain.KindConflict, "%s/%s names another installation of callvault; choose another CALLVAULT_ARCHIVES_PREFIX or bucket, "+
			"or, where that one's catalog is lost for good, run: callvault migrate up --adopt-bucket", b.Name(), markerKey(prefix))
	}
	return nil
}

// Own marks the keys below prefix as installation id's. Errors: conflict, when another installation
// owns this prefix, one around it or one within it; unavailable.
func Own(ctx context.Context, b Marked, prefix, id string) error {
	err := CheckOwner(ctx, b, prefix, id)
	fresh := domain.KindOf(err) == domain.KindNotFound
	if err != nil && !fresh {
		return err
	}
	if err := CheckBelow(ctx, b, prefix, id); err != nil || !fresh {
		return err
	}
	if err := mark(ctx, b, prefix, id, PutOptions{IfNoneMatch: true}); err != nil && domain.KindOf(err) != domain.KindConflict {
		return err
	}
	return CheckOwner(ctx, b, prefix, id) // another one may have been faster
}

// Adopt marks the keys below prefix as id's, whosever they were.
func Adopt(ctx context.Context, b Marked, prefix, id string) error {
	return mark(ctx, b, prefix, id, PutOptions{})
}

func mark(ctx context.Context, b Marked, prefix, id string, opts PutOptions) error {
	text, err := json.Marshal(marker{id})
	if err != nil {
		return err
	}
	opts.ContentType = "application/json"
	_, err = b.Put(ctx, markerKey(prefix), text, opts)
	return err
}

// checkAbove reads the markers of the prefixes around this one, by their exact keys.
func checkAbove(ctx context.Context, b Marked, prefix, id string) error {
	for at := strings.LastIndexByte(prefix, '/'); at > 0; at = strings.LastIndexByte(prefix[:at], '/') {
		if err := checkNested(ctx, b, prefix[:at], prefix, id); err != nil {
			return err
		}
	}
	return nil
}

func checkNested(ctx context.Context, b Marked, where, prefix, id string) error {
	owner, err := Owner(ctx, b, where)
	if err == nil && owner != "" && owner != id {
		return domain.Errorf(domain.KindConflict, "%s/%s names another installation of callvault, and %s/ must not lie within or around its keys; "+
			"choose another CALLVAULT_ARCHIVES_PREFIX or bucket, or delete that object where its installation is no more", b.Name(), markerKey(where), prefix)
	}
	return err
}

// CheckBelow searches the folders below prefix for markers of other installations, the upper
// folders first. Errors: conflict, unavailable.
func CheckBelow(ctx context.Context, b Marked, prefix, id string) error {
	left := maxBelow
	for level := []string{prefix}; len(level) > 0 && left > 0; {
		var next []string
		for _, folder := range level {
			below, err := prefixes(ctx, b, folder, &left)
			if err != nil {
				return err
			}
			for _, f := range below {
				if err := checkNested(ctx, b, f, prefix, id); err != nil {
					return err
				}
			}
			next = append(next, below...)
		}
		level = next
	}
	return nil
}

// prefixes lists what could be prefixes right below a folder. Callvault's own folders can be none.
func prefixes(ctx context.Context, b Marked, folder string, left *int) ([]string, error) {
	list, looked, err := b.Folders(ctx, folder, *left)
	*left -= looked
	return slices.DeleteFunc(list, func(name string) bool { return domain.CheckArchivesPrefix(name) != nil }), err
}

// Folders gives the folders right below a folder, of those of its entries that were looked at: most
// at most.
func (b *Bucket) Folders(ctx context.Context, folder string, most int) (folders []string, looked int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for o := range b.store.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: folder + "/"}) {
		if o.Err != nil {
			return nil, looked, b.failure(ctx, "list (s3:ListBucket)", folder+"/", o.Err)
		}
		if looked++; looked >= most {
			break
		}
		if name, isFolder := strings.CutSuffix(o.Key, "/"); isFolder {
			folders = append(folders, name)
		}
	}
	return folders, looked, nil
}
