package dir

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Keys gives the keys right below a folder, in their order. It leaves out those whose file has an
// encoded name.
func (b *Bucket) Keys(ctx context.Context, folder string) (keys []string, err error) {
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
			if e.Type().IsRegular() && !strings.Contains(e.Name(), "%") {
				keys = append(keys, folder+"/"+e.Name())
			}
		}
		return errors.Join(err, open.Close())
	})
	slices.Sort(keys)
	return keys, err
}
