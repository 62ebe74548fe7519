package catalog

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/callvault/callvault/client/dayseal"
	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// sealDay makes a seal of a locked day of which no hour is pending. When the day ends, it is called
// before the day's hours end. It makes no seal that says the same as the one before, unless the day
// ends.
func sealDay(ctx context.Context, tx *db.Tx, tenant string, day domain.Day, at int64, ends bool) error {
	s, err := readSeal(ctx, tx, tenant, day)
	if err != nil {
		return err
	}
	former, err := seal(ctx, tx, formerSealSQL, tenant, day)
	if err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	record := former.Record
	if same := data[:bytes.LastIndex(data, []byte(`,"sealedAt":`))+1]; ends || !bytes.HasPrefix(former.Data, same) {
		var salt [16]byte
		_, _ = rand.Read(salt[:]) // it does not fail
		s.SealedAt, s.Salt = db.FromMicros(at).Truncate(time.Second), hex.EncodeToString(salt[:])
		if data, err = json.Marshal(s); err != nil {
			return err
		}
		if record, err = merkle.Add(ctx, tx, merkle.KindSeal, data); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO day_seals (tenant, day, record, sealed_us) VALUES ($1, $2, $3, $4)`, tenant, day, record, at); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE days SET seal = $3 WHERE tenant = $1 AND day = $2`, tenant, day, record)
	return err
}

// readSeal reads what a locked day is, for a seal without time, salt and proof.
func readSeal(ctx context.Context, tx *db.Tx, tenant string, day domain.Day) (dayseal.Seal, error) {
	s := dayseal.Seal{Tenant: tenant, Day: string(day), Hours: make([]dayseal.Hour, 24)}
	if err := tx.QueryRowContext(ctx, `SELECT total_sessions FROM days WHERE tenant = $1 AND day = $2`, tenant, day).Scan(db.OrZero(&s.TotalSessions)); err != nil {
		return s, err
	}
	for i := range s.Hours {
		s.Hours[i] = dayseal.Hour{Hour: domain.HourKey{Hour: i}.HH(), State: StatePending}
	}
	err := db.Each(ctx, tx, func(rows *sql.Rows) error {
		h, err := scanServed(rows)
		if err != nil {
			return err
		}
		out := &s.Hours[h.Hour]
		out.State, out.Revision = h.State, h.Revision
		if a := h.Archive; h.State == StateAvailable && a != nil {
			out.Revision, out.ManifestSHA256 = a.Revision, &a.ManifestSHA256
			out.FileCount, out.MissingFileCount = int64(a.Files), int64(a.MissingCount)
			s.TotalFiles += out.FileCount
			s.TotalSizeBytes += a.Size
		}
		return nil
	}, `SELECT `+servedColumns+hoursOfDay, tenant, day)
	for _, h := range s.Hours {
		switch h.State {
		case StateAvailable:
			s.AvailableHours++
		case StateNoData:
			s.NoDataHours++
		case StatePending:
			s.PendingHours++
		case StateFailed:
			s.FailedHours++
		}
	}
	return s, err
}

// Seal is a seal of a day.
type Seal struct {
	Record int64  // together with merkle.KindSeal, the key of its leaf; 0 for no seal
	Data   []byte // the leaf's data: its JSON without proof
}

// formerSealSQL is the newest seal of a day.
const formerSealSQL = `SELECT s.record, r.data FROM day_seals s JOIN log_records r ON r.id = s.record
	WHERE s.tenant = $1 AND s.day = $2 ORDER BY s.record DESC LIMIT 1`

// seal reads a seal; without one it is empty.
func seal(ctx context.Context, q db.Querier, query, tenant string, day domain.Day) (s Seal, err error) {
	err = q.QueryRowContext(ctx, query, tenant, day).Scan(&s.Record, &s.Data)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return s, err
}
