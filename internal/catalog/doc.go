// Package catalog is the truth of callvault: the tenants, what was ingested, the state that each
// hour should have and the one that it has, and which links were issued to whom. One SQL text
// serves SQLite and PostgreSQL.
//
// A method is one transaction, unless its comment says otherwise, and can be repeated. Transactions
// that change state lock the day first, then its hours, then its archives. Time that decides about
// data is the catalog's own, and is read after the locks are held.
//
// It does not know the object store, the queue or HTTP. It says what should be done, and stores
// what was done.
package catalog
