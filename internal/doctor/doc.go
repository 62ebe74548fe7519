// Package doctor examines an installation as this process is configured to reach it. It connects to
// every part, asks which rights it has there, and says for each what it saw, what is wrong and what
// to do.
//
// It repairs nothing and migrates nothing. Without Subject.Try it writes nothing anywhere and takes
// no lock. With it, it tries rights by objects, a key and a file under names of its own, which it
// removes again; it deletes nothing else. No result holds a secret.
package doctor
