package objstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// Capabilities that callvault needs of a bucket; see docs/operations.md.
const (
	CanTellAbsent   = "absence" // 404 for a key that does not exist
	CanLongParts    = "key parts of more than 255 bytes"
	CanChecksum     = "checksums"            // x-amz-checksum-crc32, compared with the bytes
	CanWrite        = "writing"              // PUT, and the right to it
	CanDelete       = "delete"               // and the object is gone
	CanPutOnce      = "conditional PUT"      // If-None-Match: *, also of several at once
	CanUpload       = "parts"                // in any order, of one size but the last
	CanCompleteOnce = "conditional Complete" // If-None-Match: * for uploads in parts
	CanMatch        = "strong ETags"         // If-Match
	CanRange        = "ranges"               // 206 with the bytes asked for
	CanNameVersions = "versions by name"     // where it keeps versions: GET and HEAD of one, and the right to it
)

// ArchivesNeed lists the capabilities that the archives bucket must have.
func ArchivesNeed() []string {
	return []string{CanTellAbsent, CanWrite, CanDelete, CanPutOnce, CanUpload, CanCompleteOnce, CanMatch, CanRange}
}

// LockNeeds lists the capabilities that the archives bucket must also have when archives are locked
// in this mode; none with [NoLock].
func LockNeeds(mode LockMode) []string {
	if mode == NoLock {
		return nil
	}
	return []string{CanNameVersions, CanLock(mode)}
}

// CanLock is the capability to lock objects in a mode.
func CanLock(mode LockMode) string { return "object lock (" + mode.String() + ")" }

// RecordingsNeed lists the capabilities that the recordings bucket must have, also when callvault
// only reads it.
func RecordingsNeed() []string { return []string{CanTellAbsent, CanMatch, CanRange} }

// AudioNeeds lists the capabilities that the recordings bucket must also have when audio is
// uploaded through callvault.
func AudioNeeds() []string { return []string{CanWrite, CanPutOnce, CanUpload, CanCompleteOnce} }

// LackAdvice says what an operator can do when a bucket lacks a capability.
const LackAdvice = "use a store that can do what docs/operations.md lists, or give callvault's user the rights listed there, then run: callvault migrate up"

// Lacking names the needs that a bucket was tried for and lacks; "" when there are none.
func Lacking(bucket string, tried []domain.Capability, needs []string) string {
	var words []string
	for _, r := range tried {
		if !r.Has && slices.Contains(needs, r.Name) {
			words = append(words, fmt.Sprintf("%s (%s)", r.Name, r.Saw))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "the bucket " + bucket + " lacks " + strings.Join(words, ", ")
}

// Tried says whether a bucket was tried for all of these capabilities.
func Tried(tried []domain.Capability, needs []string) bool {
	return !slices.ContainsFunc(needs, func(name string) bool {
		return !slices.ContainsFunc(tried, func(r domain.Capability) bool { return r.Name == name })
	})
}

// Lacks says whether a bucket lacks a capability that it was tried for.
func Lacks(tried []domain.Capability, name string) bool {
	return slices.ContainsFunc(tried, func(r domain.Capability) bool { return r.Name == name && !r.Has })
}
