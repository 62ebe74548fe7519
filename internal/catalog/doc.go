// Package catalog keeps the truth: the tenants, what was taken in, the state that each hour should
// have and has, and what was handed out to whom. One SQL text serves SQLite and PostgreSQL.
//
// Every method is one transaction. It can be repeated. Transactions that change state lock the day
// first, then its hours, then its archives. Time that decides about data is the catalog's own, read
// after the locks are held.
//
// It does not know the object store, the queue or HTTP. It says what should be done, and keeps what
// was done.
package catalog
