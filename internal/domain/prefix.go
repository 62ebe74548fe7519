package domain

import (
	"regexp"
	"slices"
	"strings"
)

const (
	// DefaultArchivesPrefix is what callvault's keys in the archives bucket begin with.
	DefaultArchivesPrefix = "callvault"
	// RecordingsPrefix is what callvault's own keys in the recordings bucket begin with. There is
	// no setting for it.
	RecordingsPrefix = "callvault"

	maxArchivesPrefix = 128 // bytes
)

// CheckArchivesPrefix says whether prefix can be an archives prefix: names of A-Z a-z 0-9 . _ -
// with slashes between, none of which is one of callvault's own folders. Its error is KindInvalid.
func CheckArchivesPrefix(prefix string) error {
	names := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)
	if len(prefix) > maxArchivesPrefix || !names.MatchString(prefix) {
		return Errorf(KindInvalid, "%.140q is not a prefix of keys; use names of A-Z, a-z, 0-9, '.', '_' and '-' with slashes between, "+
			"%d characters at most, such as callvault or voice/callvault", prefix, maxArchivesPrefix)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if slices.Contains([]string{"archives", "log", "erasures", "installation", "probes"}, part) {
			return Errorf(KindInvalid, "%q holds %q, which is a folder of callvault's own; use another name, such as voice/callvault", prefix, part)
		}
	}
	return nil
}

// ArchivesFolder is the folder of an installation's archives.
func ArchivesFolder(prefix string) string { return prefix + "/archives/" }

// ProbesFolder is the folder of the objects by which a bucket is tried.
func ProbesFolder(prefix string) string { return prefix + "/probes/" }
