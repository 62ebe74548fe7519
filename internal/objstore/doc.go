// Package objstore reads and writes callvault's two buckets, recordings and
// archives, over the S3 protocol.
//
// It speaks plain S3, through minio-go, and leaves what only one store can do
// alone. Everything is written with a CRC-32, which the store checks.
// [Store.EnsureBuckets] makes the buckets, [Bucket.Own] marks whose the keys
// below a prefix are, and [Store.SetRules] sets the archives' lifecycle rule.
//
// Errors are of the kinds of package domain:
//
//	not_found    the key does not exist, while its bucket does
//	conflict     the key exists already, its ETag is another, or it is shorter than the range asked for
//	lost         the upload is gone: aborted, or completed already
//	store_fault  the store refused the bytes, or answered something else than was asked
//	too_large    beyond what the store takes
//	invalid      a key, range, size or option that can't work
//	unreadable   the object is there and in cold storage, which does not give its bytes
//	refused      the store will never do this, so retrying is useless; the message has its reason
//	interrupted  the context was cancelled
//	unavailable  everything else: network, credentials, a missing bucket, a full disk, no byte for too long
//
// [Advice] says what an operator can do about an error, [Denied] whether a right is missing.
//
// When a context is cancelled with a cause that is a domain error, its kind is
// kept. After unavailable and interrupted errors of a writing call it is
// unknown whether the write took place.
//
// It does not know tenants, archives or links, and it never decides by itself
// that an object goes: it lists unfinished uploads and versions of one exact
// key, and folders in which another installation's marker may lie.
package objstore
