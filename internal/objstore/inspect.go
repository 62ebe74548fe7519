package objstore

import "context"

// Check is nil when the bucket is there and the credentials may see it.
// Error: unavailable.
func (b *Bucket) Check(ctx context.Context) error { return b.check(ctx) }
