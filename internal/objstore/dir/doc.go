// Package dir is an object store that is a plain directory, for installations on one machine.
//
// A [Bucket] is a folder, and the object with the key "acme/c-1/a.opus" is the file
// acme/c-1/a.opus in it. Beside it stands its side file, a.opus%info: the object's key, sums, ETag
// and content type. A file without a valid side file gets one made of its bytes when it is read.
// So a file that was edited in place has another ETag, and a file that a crash parted from its side
// file is an object all the same.
//
// What is written goes to the folder %tmp first. It is published by link(2), which fails where
// the name exists, and is acknowledged once the file, its side file and every new folder above
// them are on disk. Unfinished files carry a flock of their process, so that a start removes only
// those of processes that are gone.
//
// "%" begins what a name can't hold as it is, so every other key is a readable path; see encode.
// One key can't be a folder of another: the second one is refused as invalid. So is a key that the
// disk does not tell from another one, as "A" from "a" where it folds case.
//
// Several processes may use one bucket at once. Errors are of the kinds that package objstore
// lists.
package dir
