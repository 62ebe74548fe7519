package catalogtest

import (
	"sync"

	"github.com/callvault/callvault/internal/catalog"
)

// storeRemembered holds that what was tried last is what is known, each bucket for itself.
func storeRemembered(b *bench) {
	archives, recordings := catalog.StoreKey{Endpoint: "http://s3", Bucket: "archives"}, catalog.StoreKey{Endpoint: "http://s3", Bucket: "recordings"}
	began := b.now()
	known := func(key catalog.StoreKey) (names string) {
		list, err := b.c.StoreCapabilities(b.ctx, key)
		b.must(err)
		for _, l := range list {
			equal(b, "tried since then", !l.Tried.Before(began) && !l.Tried.After(b.now()), true)
			equal(b, "saw", l.Saw != "", !l.Has)
			names += l.Name + l.Saw + " "
		}
		return names
	}
	equal(b, "never tried", known(archives), "")
	b.must(b.c.RememberStore(b.ctx, archives, []catalog.Capability{{Name: "a", Has: true}, {Name: "b", Saw: ":no"}}))
	equal(b, "tried", known(archives), "a b:no ")
	equal(b, "another", known(recordings), "")
	b.pass(1)
	var wait sync.WaitGroup
	for range 4 { // several migrate at once
		wait.Go(func() {
			if err := b.c.RememberStore(b.ctx, archives, []catalog.Capability{{Name: "b", Has: true}, {Name: "c", Has: true}}); err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
	equal(b, "again", known(archives), "b c ")
}
