package objstore

import (
	"fmt"
	"slices"
	"strings"
)

// ArchivesNeed is what callvault can't do without in the archives bucket.
func ArchivesNeed() []string {
	return []string{CanTellAbsent, CanWrite, CanDelete, CanPutOnce, CanUpload, CanCompleteOnce, CanMatch, CanRange}
}

// RecordingsNeed is the same of the recordings bucket, which may be one that callvault only reads.
func RecordingsNeed() []string { return []string{CanTellAbsent, CanMatch, CanRange} }

// AudioNeeds is what it takes beside to take audio in.
func AudioNeeds() []string { return []string{CanWrite, CanPutOnce, CanUpload, CanCompleteOnce} }

// Lacking says in words what of the needs a bucket was tried for and lacks; "" when nothing.
func Lacking(bucket string, tried []Tried, needs []string) string {
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

// DoesWithout says whether a bucket was tried for something and lacks it.
func DoesWithout(tried []Tried, name string) bool {
	return slices.ContainsFunc(tried, func(r Tried) bool { return r.Name == name && !r.Has })
}
