// Package dir is an object store that is a plain directory, for installations on one machine.
//
// A [Bucket] is a folder, and the object with the key "acme/c-1/a.opus" is the file acme/c-1/a.opus
// in it. Its side file, a.opus%info, is beside it and has the object's key, sums, ETag and content
// type. A file without a valid side file gets one when it is read, made from its bytes. So a file
// that was edited in place has another ETag, and a file that lost its side file in a crash is still
// an object.
//
// A new object is first written to the folder %tmp. It is published by link(2), which fails where
// the name exists. It is acknowledged when the file, its side file and every folder above them are
// on disk. A process locks (flock) its unfinished files, so that a start removes only those of
// processes that have ended. It also locks an object's file while it replaces, removes or describes
// it, so that a side file is never that of other bytes.
//
// A file's name can't have every character of a key. "%" begins the code for one that it can't
// have; all other keys are readable paths. See encode. A key can't be a folder of another key: the
// second one is refused as invalid. So is a key that the disk does not tell from another one, such
// as "A" and "a" where the disk ignores case.
//
// Several processes may use one bucket at once. Errors have the kinds that package objstore lists.
//
// The package knows no S3 and makes no links for clients: downloads are read through this process.
package dir
