// Package lifecycle deletes recordings and archives from the store, and is the only package that
// does. It deletes by exact keys, and only what the catalog has marked for deletion. The doctor and
// the first start delete objects too: the ones that they have just made to try the store.
//
// The Sweeper deletes archives that are no longer served. It also checks that served archives are
// in the store, and looks for recordings that were missing when their archive was built. Ends ends
// conversations by their tenant's source retention, the Eraser carries erasures out, and the
// Deleter deletes the source audio of both.
package lifecycle
