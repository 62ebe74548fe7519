package objstore

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/callvault/callvault/internal/domain"
)

const (
	abortRule  = "callvault-abort-uploads"
	expireRule = "callvault-expire-archives"
	abortDays  = 7
)

// EnsureOptions choose the rules that buckets get.
type EnsureOptions struct {
	// ExpireArchivesAfter is the age, in days, at which the store itself
	// deletes an archive that was left behind; 0 sets no such rule. It must
	// be longer than any archive is to live.
	ExpireArchivesAfter int
}

// EnsureBuckets makes the buckets that are missing and gives them rules, where
// the store knows lifecycle rules: uploads that were never finished go after 7
// days, archives after opts.ExpireArchivesAfter. An operator's own rules stay,
// and nothing in the recordings bucket ever expires.
func (s *Store) EnsureBuckets(ctx context.Context, opts EnsureOptions) error {
	if opts.ExpireArchivesAfter < 0 {
		return domain.Errorf(domain.KindInvalid, "archives can't expire after %d days", opts.ExpireArchivesAfter)
	}
	for _, b := range []*Bucket{s.recordings, s.archives} {
		if err := b.ensure(ctx); err != nil {
			return err
		}
		if b == s.archives && opts.ExpireArchivesAfter > 0 {
			if err := b.setRule(ctx, lifecycle.Rule{
				ID: expireRule, Status: "Enabled",
				Expiration: lifecycle.Expiration{Days: lifecycle.ExpirationDays(opts.ExpireArchivesAfter)},
			}); err != nil {
				return err
			}
		}
		if err := b.setRule(ctx, lifecycle.Rule{
			ID: abortRule, Status: "Enabled",
			AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: abortDays},
		}); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) ensure(ctx context.Context) error {
	exists, err := b.store.core.BucketExists(ctx, b.name)
	if err != nil {
		return b.explained(ctx, b.failure(ctx, "reach", "", err))
	}
	if exists {
		return nil
	}
	err = b.store.core.MakeBucket(ctx, b.name, minio.MakeBucketOptions{Region: b.store.cfg.Region})
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && (answer.Code == minio.BucketAlreadyOwnedByYou || answer.Code == minio.BucketAlreadyExists) {
		return b.check(ctx) // somebody else was faster; it must be ours to use
	}
	if err != nil {
		return b.failure(ctx, "make the bucket", "", err)
	}
	return nil
}

// setRule adds a rule, or changes the one of the same id, and writes only when
// that makes a difference. Rules go in one by one, and a store that does not
// take one is left as it is: rules are a backstop, and stores differ. MinIO,
// for one, finishes unfinished uploads by itself and refuses the rule for it.
func (b *Bucket) setRule(ctx context.Context, rule lifecycle.Rule) error {
	config, err := b.store.core.GetBucketLifecycle(ctx, b.name)
	var answer minio.ErrorResponse
	switch {
	case errors.As(err, &answer) && answer.Code == "NoSuchLifecycleConfiguration":
		config = lifecycle.NewConfiguration()
	case unsupported(err):
		return nil
	case err != nil:
		return b.failure(ctx, "read the rules of", "", err)
	}
	at := slices.IndexFunc(config.Rules, func(r lifecycle.Rule) bool { return r.ID == rule.ID })
	switch {
	case at < 0:
		config.Rules = append(config.Rules, rule)
	case config.Rules[at].Expiration.Days == rule.Expiration.Days &&
		config.Rules[at].AbortIncompleteMultipartUpload.DaysAfterInitiation == rule.AbortIncompleteMultipartUpload.DaysAfterInitiation:
		return nil
	default:
		config.Rules[at] = rule
	}
	err = b.store.core.SetBucketLifecycle(ctx, b.name, config)
	if err != nil && !unsupported(err) {
		return b.failure(ctx, "set the rules of", "", err)
	}
	return nil
}

func unsupported(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusNotImplemented, http.StatusMethodNotAllowed, http.StatusForbidden, http.StatusBadRequest:
		return true
	}
	return false
}
