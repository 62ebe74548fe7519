package dir

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Keys gives the keys right below a folder, in their order. It leaves out those whose file has an
// encoded name.
func (b *Bucket) Keys(ctx context.Context, folder string) ([]string, error) {
	return b.KeysAfter(ctx, folder, "")
}

// KeysAfter is Keys of those that come after a key in their order.
func (b *Bucket) KeysAfter(ctx context.Context, folder, after string) (keys []string, err error) {
	err = b.onKey(ctx, call{"list", "list", folder}, func(name string) error {
		open, err := b.root.Open(name)
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		entries, err := open.ReadDir(-1)
		for _, e := range entries {
			key := folder + "/" + e.Name()
			if e.Type().IsRegular() && !strings.Contains(e.Name(), "%") && key > after {
				keys = append(keys, key)
			}
		}
		return errors.Join(err, open.Close())
	})
	slices.Sort(keys)
	return keys, err
}
