// Package admin is for operators: a console of HTML pages at /admin, the dashboard of the queues at
// /admin/queues, and the same functions as JSON at /api/admin/v1. The API needs the admin token.
// The console takes the token once and sets a session cookie.
//
// It decides nothing about archives: it shows what the catalog knows, and passes actions on to it.
package admin
