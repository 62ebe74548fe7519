// Package embedded is an S3 server in this process over a directory, for
// installations without an object store of their own. It is versitygw with its
// POSIX backend, bound to loopback, and is used through package objstore like
// any other S3.
//
// Starting it changes the working directory of the whole process (the backend
// works with relative paths), so every path that the process uses must have
// been made absolute before, and one process can run one server only. The
// server does not sync what it writes: [Disk.Sync] does, and belongs into
// objstore's Config.Sync. A key is a path here, so [Disk.CheckKey] refuses keys
// that are none and belongs into Config.CheckKey. One key can't be a folder of
// another; objstore's writing calls report that as invalid.
//
// It knows neither lifecycle rules nor encryption.
package embedded
