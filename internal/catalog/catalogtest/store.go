package catalogtest

import (
	"sync"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
)

// storeRemembered checks that the last trial of each bucket is what is known of it.
func storeRemembered(f *fixture) {
	archives, recordings := catalog.StoreKey{Endpoint: "http://s3", Bucket: "archives"}, catalog.StoreKey{Endpoint: "http://s3", Bucket: "recordings"}
	began := f.now()
	known := func(key catalog.StoreKey) (names string) {
		list, err := f.c.StoreCapabilities(f.ctx, key)
		f.must(err)
		for _, l := range list {
			equal(f, "tried since then", !l.Tried.Before(began) && !l.Tried.After(f.now()), true)
			equal(f, "saw", l.Saw != "", !l.Has)
			names += l.Name + l.Saw + " "
		}
		return names
	}
	equal(f, "never tried", known(archives), "")
	f.must(f.c.RememberStore(f.ctx, archives, []domain.Capability{{Name: "a", Has: true}, {Name: "b", Saw: ":no"}}))
	equal(f, "tried", known(archives), "a b:no ")
	equal(f, "another", known(recordings), "")
	f.pass(1)
	var wait sync.WaitGroup
	for range 4 { // several migrate at once
		wait.Go(func() {
			if err := f.c.RememberStore(f.ctx, archives, []domain.Capability{{Name: "b", Has: true}, {Name: "c", Has: true}}); err != nil {
				f.Error(err)
			}
		})
	}
	wait.Wait()
	equal(f, "again", known(archives), "b c ")
}
