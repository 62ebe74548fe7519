// Package objstore reads and writes callvault's two buckets, recordings and archives, by the S3
// protocol.
//
// It uses plain S3, through minio-go, and nothing that only one store has. Everything is written
// with a CRC-32, which the store checks. [Store.EnsureBuckets] makes the buckets, [Own]
// marks the keys below a prefix as one installation's, and [Store.SetRules] sets the archives'
// lifecycle rule.
//
// Errors are of the kinds of package domain:
//
//	not_found    the key does not exist, while its bucket does
//	conflict     the key exists already, has another ETag, or is shorter than the range
//	lost         the upload is gone: aborted, or completed already
//	store_fault  the store refused the bytes, or its answer does not fit the request
//	too_large    beyond what the store takes
//	invalid      a key, range, size or option that can't work
//	unreadable   the object exists in cold storage, where its bytes cannot be read
//	refused      the store will never do this, so a retry is useless; the message has its reason
//	interrupted  the context was cancelled
//	unavailable  everything else: network, credentials, a missing bucket, a full disk, a stall
//
// [Advice] says what an operator can do about an error, [Denied] whether a right is missing.
//
// When a context is cancelled with a cause that is a domain error, the error has the kind of that
// cause. After an unavailable or interrupted error of a write it is unknown whether the write took
// place.
//
// It does not know tenants, archives or links, and it never decides that an object is deleted. What
// it lists are the unfinished uploads and the versions of one exact key, and folders that may
// contain another installation's marker.
package objstore
