package lifecycle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

// erasureOrder is the object {prefix}/erasures/{id}.json. It has what a catalog that was restored
// from an older backup needs to repeat the erasure, and nothing that the erased conversations said.
type erasureOrder struct {
	ID            string        `json:"id"`
	Tenant        string        `json:"tenant"`
	Reason        string        `json:"reason"`
	AskedBy       string        `json:"askedBy"`
	Asked         time.Time     `json:"askedAt"`
	Conversations []string      `json:"conversations"`
	Hours         []erasureHour `json:"hours"`
}

type erasureHour struct {
	Day  domain.Day `json:"day"`
	Hour string     `json:"hour"` // "00" to "23"
}

// maxOrder is in bytes. The ids of MaxErased conversations take 3 MB at most, each byte escaped,
// and the hours of twenty years 6 MB.
const maxOrder = 16 << 20

func ordersFolder(prefix string) string {
	return cmp.Or(prefix, domain.DefaultArchivesPrefix) + "/erasures"
}

func (e *Eraser) orderKey(id string) string { return ordersFolder(e.prefix) + "/" + id + ".json" }

// storeOrder puts an order into the archives bucket, unless it is there.
func (e *Eraser) storeOrder(ctx context.Context, x Erasure) error {
	hours, err := e.hours(ctx, x)
	if err != nil {
		return err
	}
	order := erasureOrder{ID: x.ID, Tenant: x.Tenant, Reason: x.Reason, AskedBy: x.AskedBy, Asked: x.Asked, Conversations: x.Conversations, Hours: []erasureHour{}}
	for _, h := range hours {
		order.Hours = append(order.Hours, erasureHour{h.Day, h.HH()})
	}
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	_, err = e.archives.Put(ctx, e.orderKey(x.ID), text, objstore.PutOptions{ContentType: "application/json", IfNoneMatch: true})
	if domain.KindOf(err) == domain.KindConflict {
		return nil // an earlier try put it there: nobody else has the id
	}
	return err
}

// hours gives the hours that had something of an erasure.
func (e *Eraser) hours(ctx context.Context, x Erasure) ([]domain.HourKey, error) {
	return db.Collect(ctx, e.db, scanHours(x.Tenant), `SELECT day, hour FROM erasure_hours WHERE erasure = $1 ORDER BY day, hour`, x.ID)
}

// Lister lists the keys of a folder.
type Lister interface {
	Keys(ctx context.Context, folder string) ([]string, error)
}

// MissingErasures gives the ids of orders that are in the archives bucket and that the catalog does
// not know, because it was restored from a backup that is older than they are. It changes nothing.
func MissingErasures(ctx context.Context, d *db.DB, archives Lister, prefix string) (missing []string, err error) {
	keys, err := archives.Keys(ctx, ordersFolder(prefix))
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(keys, idChunk) {
		ids := make([]string, 0, len(some))
		for _, key := range some {
			if id, ok := strings.CutSuffix(path.Base(key), ".json"); ok {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			continue
		}
		known, err := db.Collect(ctx, d, db.Value[string], `SELECT id FROM erasures WHERE id IN (`+db.Parameters(1, len(ids))+`)`, db.Texts(ids)...)
		if err != nil {
			return nil, err
		}
		missing = append(missing, slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(known, id) })...)
	}
	return missing, nil
}

// Repeat takes orders up that the catalog does not know, and hides what all open orders erase. It
// is for roles, before they serve, and may be called until it succeeds. An order that fails does
// not stop the others. Orders of a tenant that the catalog does not know have nothing to hide
// before the tenant is created again. Errors: KindConflict while a hold keeps one from being
// hidden, KindUnavailable.
func (e *Eraser) Repeat(ctx context.Context) error {
	missing, err := MissingErasures(ctx, e.db, e.archives, e.prefix)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range missing {
		errs = append(errs, e.takeUp(ctx, id))
	}
	open, err := db.Collect(ctx, e.db, db.Value[string], `SELECT e.id FROM erasures e JOIN tenants t ON t.id = e.tenant WHERE e.hidden_us IS NULL ORDER BY e.id`)
	errs = append(errs, err)
	for _, id := range open {
		errs = append(errs, e.hideOpen(ctx, id))
	}
	return errors.Join(errs...)
}

// hideOpen hides what an open order erases. Error: KindConflict while a hold keeps a repeated one
// from being hidden.
func (e *Eraser) hideOpen(ctx context.Context, id string) error {
	if err := e.advance(ctx, id); err != nil {
		return err
	}
	x, err := e.read(ctx, id)
	if err == nil && x.State == ErasureRepeating {
		err = domain.Errorf(domain.KindConflict, "the erasure %s of tenant %s can't be repeated, because the hold %s covers a part of it; release the hold if it had been released before the catalog was restored",
			id, x.Tenant, x.WaitsForHold)
	}
	return err
}

// takeUp inserts an order of the bucket into the catalog, to be repeated.
func (e *Eraser) takeUp(ctx context.Context, id string) error {
	o, err := e.readOrder(ctx, id)
	if err != nil {
		return err
	}
	e.log.Warn("the catalog lacks an erasure; it is repeated", zap.String("erasure", id), zap.String("tenant", o.Tenant))
	return e.db.Update(ctx, func(tx *db.Tx) error {
		at, err := clock.Now(ctx, tx)
		if err != nil {
			return err
		}
		if err := insertErasure(ctx, tx, Erasure{ID: id, Tenant: o.Tenant, State: ErasureRepeating, Reason: o.Reason, AskedBy: o.AskedBy, Asked: o.Asked, Conversations: o.Conversations}); err != nil {
			return err
		}
		hours := make([]domain.HourKey, 0, len(o.Hours))
		for _, h := range o.Hours {
			hour, err := strconv.Atoi(h.Hour)
			if err != nil || hour < 0 || hour > 23 {
				return domain.Wrap(domain.KindBadCatalog, err, "%s names the hour %.10q; restore the object", e.orderKey(id), h.Hour)
			}
			hours = append(hours, domain.HourKey{Tenant: o.Tenant, Day: h.Day, Hour: hour})
		}
		if err := noteHours(ctx, tx, id, hours); err != nil {
			return err
		}
		return audit.Origin{Actor: "erasures"}.Append(ctx, tx, at, o.Tenant, ActionErasureRepeat, erasureDetail{Erasure: id, Conversations: o.Conversations})
	})
}

func (e *Eraser) readOrder(ctx context.Context, id string) (o erasureOrder, err error) {
	object, err := e.archives.Get(ctx, e.orderKey(id), objstore.GetOptions{})
	if err != nil {
		return o, err
	}
	text, err := io.ReadAll(io.LimitReader(object.Body, maxOrder))
	if err := errors.Join(err, object.Body.Close()); err != nil {
		return o, err
	}
	if err := json.Unmarshal(text, &o); err != nil || o.ID != id || o.Tenant == "" {
		return o, domain.Wrap(domain.KindBadCatalog, err, "%s is no order of an erasure; restore the object, or delete it if it is nobody's", e.orderKey(id))
	}
	return o, nil
}
