// Package doctor examines an installation as this process is configured to reach it. It connects to
// every part, tries the rights that callvault needs, and says for each what it saw, what is wrong
// and what to do.
//
// It repairs nothing and migrates nothing. To try rights it writes objects under names of its own,
// which it removes again; it deletes nothing else. No result holds a secret.
package doctor
