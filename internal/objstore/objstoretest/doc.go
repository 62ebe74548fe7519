// Package objstoretest has the acceptance tests that every object store must pass before callvault
// can use it. They use only what package objstore uses, so a store's own tests are one call of
// [Run].
package objstoretest
