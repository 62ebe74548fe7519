// Package catalog is the truth: tenants, what was taken in, what each hour should be and is,
// and who was given what. It speaks one SQL text to SQLite and PostgreSQL.
//
// Every method is one transaction and can be repeated. Transactions that change state lock the
// day first, then its hours, then its archives. Time that decides about data is the catalog's
// own, read after the locks are held.
//
// It does not know the object store, the queue or HTTP: it says what should be done and
// remembers what was.
package catalog
