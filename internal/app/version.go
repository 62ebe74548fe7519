package app

import "runtime/debug"

// stamped is the release's version, set by the linker: images are built without the repository from
// which Go reads it.
var stamped string //nolint:gochecknoglobals // -X sets only global variables

// Version is the release or module version that this program was built from, or "(devel)".
func Version() string {
	if stamped != "" {
		return stamped
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "(devel)"
}
