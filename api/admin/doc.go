// Package admin is the operator's side: a console of plain HTML pages at /admin, the dashboard of
// the queues at /admin/queues, and the same functions as JSON at /api/admin/v1. All of it opens
// with the admin token alone, which the console turns into a session cookie.
//
// It decides nothing about archives: it shows what the catalog knows, and passes wishes on to it.
package admin
