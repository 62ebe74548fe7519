package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
)

// Subject names something that has former values.
type Subject struct {
	Tenant string
	Kind   string // agent, conversation, message or recording
	ID     string // the object key of a recording
}

// FormerValue is a value that a line replaced or cleared.
type FormerValue struct {
	Field string          // its name in lines, such as "status" or "transcript.raw"
	Value json.RawMessage // as it was taken in; times and texts are JSON strings
	At    time.Time       // when it was replaced or cleared
	Actor string          // who sent the replacing line
}

// FormerPage is one page of former values, latest first. Next is where the next page continues; 0
// after the last page.
type FormerPage struct {
	Values []FormerValue
	Next   int64
}

// formerRow is a row of the table history.
type formerRow struct {
	former
	seq   int64
	at    time.Time
	actor string
}

// FormerValues gives the page of former values that continues at before, which is 0 for the first
// page. A page has at most limit values. It ends earlier when its values have more than maxBytes.
// The page of an unknown subject is empty. Errors: KindBadCatalog, KindUnavailable.
func (c *Catalog) FormerValues(ctx context.Context, s Subject, before int64, limit, maxBytes int) (FormerPage, error) {
	var page FormerPage
	err := c.db.View(ctx, func(tx *db.Tx) error {
		page = FormerPage{}
		before = cmp.Or(before, math.MaxInt64)
		rows, err := db.Collect(ctx, tx, scanFormerRow, `SELECT seq, field, at_us, origin, head, tail FROM history
			WHERE tenant = $1 AND kind = $2 AND id = $3 AND seq < $4 ORDER BY seq DESC LIMIT $5`, s.Tenant, s.Kind, s.ID, before, limit+1)
		if err != nil {
			return err
		}
		w := formerReader{tx: tx, of: s, after: map[string]string{}}
		for size, i := 0, 0; i < len(rows); i++ {
			if i == limit || size > maxBytes {
				page.Next = rows[i-1].seq
				return nil
			}
			value, err := w.value(ctx, &rows[i])
			if err != nil {
				return err
			}
			size += len(value)
			shown, err := formerJSON(s.Kind, rows[i].field, value)
			if err != nil {
				return err
			}
			page.Values = append(page.Values, FormerValue{Field: rows[i].field, Value: shown, At: rows[i].at, Actor: rows[i].actor})
		}
		return nil
	})
	return page, err
}

func scanFormerRow(rows *sql.Rows) (f formerRow, err error) {
	err = rows.Scan(&f.seq, &f.field, db.Time(&f.at), &f.actor, &f.head, &f.tail)
	return f, err
}

// formerReader reads former values, latest first. It keeps one value of each field in memory,
// because a value may have megabytes.
type formerReader struct {
	tx    *db.Tx
	of    Subject
	after map[string]string // by field, the value that was read last; the next one is stored as its difference from it
}

// value gives a row's whole value. For each field it must be called from the latest row to the
// oldest.
func (w *formerReader) value(ctx context.Context, f *formerRow) (string, error) {
	err := w.tx.QueryRowContext(ctx, `SELECT value FROM history WHERE seq = $1`, f.seq).Scan(&f.former.value)
	if err != nil {
		return "", err
	}
	if f.head+f.tail == 0 {
		w.after[f.field] = f.former.value
		return f.former.value, nil
	}
	after, ok := w.after[f.field]
	if !ok {
		if after, err = w.valueAfter(ctx, f); err != nil {
			return "", err
		}
	}
	before, err := f.before(after)
	if err != nil {
		return "", domain.Wrap(domain.KindBadCatalog, err, "the former values of %q are damaged", f.field)
	}
	w.after[f.field] = before
	return before, nil
}

// valueAfter gives the value that replaced the row's value. It starts at the next value that is
// stored whole, or at the present one.
func (w *formerReader) valueAfter(ctx context.Context, f *formerRow) (after string, err error) {
	const field = ` FROM history WHERE tenant = $1 AND kind = $2 AND id = $3 AND field = $4 AND seq > $5`
	args := []any{w.of.Tenant, w.of.Kind, w.of.ID, f.field, f.seq}
	whole := int64(math.MaxInt64)
	err = w.tx.QueryRowContext(ctx, `SELECT seq, value`+field+` AND head = 0 AND tail = 0 ORDER BY seq LIMIT 1`, args...).Scan(&whole, &after)
	if errors.Is(err, sql.ErrNoRows) {
		after, err = w.current(ctx, f.field)
	}
	if err != nil {
		return "", err
	}
	between, err := db.Collect(ctx, w.tx, scanFormerRow, `SELECT seq, field, at_us, origin, head, tail`+field+` AND seq < $6 ORDER BY seq DESC`,
		append(args, whole)...)
	if err != nil {
		return "", err
	}
	w.after[f.field] = after
	for i := range between {
		if after, err = w.value(ctx, &between[i]); err != nil {
			return "", err
		}
	}
	return after, nil
}

// current gives the present value of a conversation's field.
func (w *formerReader) current(ctx context.Context, name string) (string, error) {
	var value string
	for at, f := range conversationFields() {
		if f.name != name {
			continue
		}
		query := `SELECT ` + f.column + ` FROM conversations WHERE tenant = $1 AND id = $2`
		if at == atRaw {
			query = `SELECT raw FROM transcripts WHERE tenant = $1 AND conversation_id = $2`
		}
		err := w.tx.QueryRowContext(ctx, query, w.of.Tenant, w.of.ID).Scan(db.OrZero(&value))
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return value, err
	}
	return "", nil
}

// formerJSON turns a value from the form in which it is stored into JSON.
func formerJSON(kind, name, value string) (json.RawMessage, error) {
	if kind != kindConversation {
		return json.RawMessage(value), nil
	}
	for _, f := range conversationFields() {
		switch {
		case f.name != name:
		case f.form == jsonForm:
			return json.RawMessage(value), nil
		case f.form == timeForm:
			us, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, domain.Wrap(domain.KindBadCatalog, err, "a former value of %q is not a time", name)
			}
			return rawjson.AppendString(nil, db.FromMicros(us).Format(time.RFC3339Nano)), nil
		}
	}
	return rawjson.AppendString(nil, value), nil
}
