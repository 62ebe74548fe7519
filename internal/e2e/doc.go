// Package e2e holds tests of callvault as its operators run it: processes of the built program on a
// real Redis, MinIO and PostgreSQL, killed, stopped and cut off, and then compared with what was
// registered, file by file.
//
// It tests whole processes from outside. What can be seen from within a package is tested there.
// CALLVAULT_E2E_LONG=1 lengthens the outages.
package e2e
