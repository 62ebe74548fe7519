package objstore

import (
	"context"
	"errors"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// writeProbe writes an object and returns its key and ETag.
func (t *trial) writeProbe(ctx context.Context) (key, etag string, err error) {
	key = t.key()
	if _, err := t.Put(ctx, key, []byte(key), PutOptions{}); err != nil {
		return key, "", err
	}
	info, err := t.Stat(ctx, key)
	return key, info.ETag, err
}

func (t *trial) match(ctx context.Context) error {
	key, etag, err := t.writeProbe(ctx)
	switch {
	case err != nil:
		return err
	case etag == "" || strings.HasPrefix(etag, "W/"):
		return unexpected("the ETag %q is none that tells bytes apart", etag)
	}
	if err := t.compare(ctx, key, GetOptions{IfMatch: etag}, []byte(key)); err != nil {
		return err
	}
	switch err := t.compare(ctx, key, GetOptions{IfMatch: strings.Repeat("0", 32)}, []byte(key)); domain.KindOf(err) {
	case domain.KindConflict:
		return nil
	case "":
		return unexpected("an object of another ETag is given: If-Match is not held")
	default:
		return err
	}
}

func (t *trial) ranges(ctx context.Context) error {
	key, _, err := t.writeProbe(ctx)
	if err != nil {
		return err
	}
	return errors.Join(t.compare(ctx, key, GetOptions{From: 2, To: 5}, []byte(key)[2:5]), t.compare(ctx, key, GetOptions{From: 3}, []byte(key)[3:]))
}

// nameVersions reads an object by the name of its version, where the bucket keeps versions. If that
// is refused, versions are not named from then on.
func (t *trial) nameVersions(ctx context.Context) error {
	t.DoWithoutVersions(false)
	key, _, err := t.writeProbe(ctx)
	if err != nil {
		return err
	}
	info, err := t.Stat(ctx, key)
	if err != nil || info.VersionID == "" {
		return err
	}
	if _, err = t.StatVersion(ctx, key, info.VersionID); err == nil {
		err = t.compare(ctx, key, GetOptions{Version: info.VersionID}, []byte(key))
	}
	if Denied(err) {
		err = domain.Wrap(domain.KindRefused, err, "a version can't be read by its name; let callvault's user do so (s3:GetObjectVersion on arn:aws:s3:::%s/*)", t.name)
	}
	t.DoWithoutVersions(err != nil)
	return err
}
