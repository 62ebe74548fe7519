package app

import (
	"context"
	"strings"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// StoreCapabilities is what the object store lacks.
type StoreCapabilities struct {
	Lacks   []string `json:"lacks,omitempty"`   // what callvault can't do without
	Without []string `json:"without,omitempty"` // what callvault does without
	NoAudio string   `json:"noAudio,omitempty"` // why audio can't be taken in

	known bool // some process has tried the store, with the present CALLVAULT_ARCHIVES_LOCK
	fresh bool // this process has tried it
	lock  objstore.LockMode
}

func (p *Parts) storeKey(b *objstore.Bucket) catalog.StoreKey {
	return catalog.StoreKey{Endpoint: p.Config.S3Endpoint, Bucket: b.Name()}
}

// ensureTried makes sure that the store was tried, and tries it at most once a process. Without
// again the stored result of another process is enough. It refuses a store that lacks what
// callvault needs.
func (p *Parts) ensureTried(ctx context.Context, again bool) error {
	if !p.store.fresh {
		if err := p.loadCapabilities(ctx); err != nil {
			return err
		}
		if p.s3 != nil && (!p.store.known || again) {
			if err := p.tryStore(ctx); err != nil {
				return err
			}
		}
	}
	p.prepared.StoreCapabilities = p.store
	return p.store.refusal()
}

// tryStore tries what callvault relies on and stores the result in the catalog. It writes to the
// recordings bucket only where audio is taken in.
func (p *Parts) tryStore(ctx context.Context) error {
	found := map[*objstore.Bucket][]domain.Capability{}
	for b, prefix := range map[*objstore.Bucket]string{p.s3.Archives(): p.Config.Prefix, p.s3.Recordings(): domain.RecordingsPrefix} {
		list, err := b.Try(ctx, domain.ProbesFolder(prefix), b == p.s3.Archives() || p.Config.TakeAudio)
		if err != nil {
			return withAdvice(err)
		}
		found[b] = list
		if err := p.Catalog.RememberStore(ctx, p.storeKey(b), list); err != nil {
			return err
		}
	}
	p.applyCapabilities(found)
	p.store.fresh = true
	return nil
}

// loadCapabilities applies the result that is stored in the catalog. A directory can do all that
// callvault needs: what it is on was tried when it was opened.
func (p *Parts) loadCapabilities(ctx context.Context) error {
	if p.s3 == nil {
		p.store = StoreCapabilities{NoAudio: p.audioOff("")}
		return nil
	}
	found := map[*objstore.Bucket][]domain.Capability{}
	for _, b := range []*objstore.Bucket{p.s3.Archives(), p.s3.Recordings()} {
		list, err := p.Catalog.StoreCapabilities(ctx, p.storeKey(b))
		if err != nil {
			return err
		}
		found[b] = list
	}
	p.applyCapabilities(found)
	return nil
}

// applyCapabilities switches off what the store does not support, and notes what it lacks.
func (p *Parts) applyCapabilities(found map[*objstore.Bucket][]domain.Capability) {
	archives, recordings := p.s3.Archives(), p.s3.Recordings()
	mode := p.lockMode()
	s := StoreCapabilities{known: len(found[archives]) > 0 && objstore.Tried(found[archives], objstore.LockNeeds(mode)), lock: mode}
	for _, lack := range []string{
		objstore.Lacking(archives.Name(), found[archives], append(objstore.ArchivesNeed(), objstore.LockNeeds(mode)...)),
		objstore.Lacking(recordings.Name(), found[recordings], objstore.RecordingsNeed()),
	} {
		if lack != "" {
			s.Lacks = append(s.Lacks, lack)
		}
	}
	plain := objstore.Lacks(found[archives], objstore.CanChecksum) || objstore.Lacks(found[recordings], objstore.CanChecksum)
	if p.s3.DoWithoutChecksums(plain); plain {
		s.Without = append(s.Without, objstore.CanChecksum)
	}
	nameless := objstore.Lacks(found[archives], objstore.CanNameVersions)
	if archives.DoWithoutVersions(nameless); nameless {
		s.Without = append(s.Without, objstore.CanNameVersions)
	}
	short := objstore.Lacks(found[recordings], objstore.CanLongParts)
	if p.s3.RefuseLongParts(short); short {
		s.Without = append(s.Without, objstore.CanLongParts)
	}
	s.NoAudio = p.audioOff(objstore.Lacking(recordings.Name(), found[recordings], objstore.AudioNeeds()))
	p.store = s
}

// audioOff says why audio can't be taken in, where the store lacks what it needs or the settings
// forbid it.
func (p *Parts) audioOff(lack string) string {
	if !p.Config.TakeAudio {
		return "CALLVAULT_TAKE_AUDIO is off"
	}
	return lack
}

// refusal says why no role can work with the store: KindRefused, or nil.
func (s StoreCapabilities) refusal() error {
	if len(s.Lacks) == 0 && !s.known && s.lock != objstore.NoLock {
		return domain.Errorf(domain.KindRefused, "the archives bucket was not tried for CALLVAULT_ARCHIVES_LOCK=%s; run: callvault migrate up", s.lock)
	}
	if len(s.Lacks) == 0 {
		return nil
	}
	return domain.Errorf(domain.KindRefused, "%s; %s", strings.Join(s.Lacks, "; "), objstore.LackAdvice)
}

// TakesAudio says why audio can't be taken in: KindForbidden, or nil.
func (p *Parts) TakesAudio() error {
	if p.store.NoAudio == "" {
		return nil
	}
	return domain.Errorf(domain.KindForbidden, "audio is not taken in here: %s; put it into the bucket %s by other means, or correct this and run: callvault migrate up",
		p.store.NoAudio, p.Config.Recordings)
}
