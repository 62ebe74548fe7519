package app

import "runtime/debug"

// stamped is the release's version. Images are built without the repository that Go would read it
// from, so the linker sets it.
var stamped string //nolint:gochecknoglobals // the linker's -X sets nothing else

// Version is what this program was built from: a release, a module's version, or "(devel)".
func Version() string {
	if stamped != "" {
		return stamped
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "(devel)"
}
