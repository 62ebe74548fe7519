// Package holds has the legal holds of tenants: orders to keep what a tenant's days or
// conversations have, until they are released. It says in SQL what a hold covers. So each statement
// that ends or deletes something asks for holds itself.
//
// It deletes nothing, and knows neither archives nor the object store.
package holds
