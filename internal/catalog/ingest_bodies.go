package catalog

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
)

// maxBody bounds the merged body of an agent or a message, in bytes. A line has the same bound.
const maxBody = 1 << 20

// bodyKind is a kind of row whose body is the merged JSON of its lines.
type bodyKind[T any] struct {
	kind   string
	stage  stage
	key    string // the line's field with the id
	id     func(*T) string
	body   func(*T) json.RawMessage
	row    func(last *T, body []byte) []any // the staged row
	insert string
	update string
}

// mergeBodies inserts new rows with the body of their first line, and merges lines into the
// existing rows.
func mergeBodies[T any](ctx context.Context, r *registration, k bodyKind[T], lines []Line[T]) error {
	if len(lines) == 0 {
		return nil
	}
	groups := byKey(lines, k.id)
	rows := make([][]any, 0, len(groups))
	byID := make(map[string][]Line[T], len(groups))
	repeated := len(groups) < len(lines)
	for _, g := range groups {
		rows = append(rows, k.row(&g[0].Value, k.body(&g[0].Value)))
		byID[k.id(&g[0].Value)] = g
	}
	if err := r.stages.fill(ctx, k.stage, rows); err != nil {
		return err
	}
	inserted, count, err := r.insert(ctx, k.insert, repeated)
	if err != nil || !repeated && count == len(rows) {
		return err
	}
	differing, err := db.Collect(ctx, r.tx, func(rows *sql.Rows) (v sizedRow, err error) {
		err = rows.Scan(&v.id, &v.bytes)
		return v, err
	}, differingSQL(k.stage, repeated), r.tenant)
	if err != nil {
		return err
	}
	return inSizedChunks(differing, func(ids []string) error { return mergeInto(ctx, r, k, ids, byID, inserted) })
}

// differingSQL finds the existing rows that lines may change. It starts from the staged rows, which
// are few.
func differingSQL(st stage, repeated bool) string {
	query := `SELECT b.id, CAST(octet_length(b.body) AS BIGINT) FROM ` + st.name + ` s CROSS JOIN ` + st.from + ` b WHERE b.tenant = $1 AND b.id = s.id`
	if repeated { // a later line may change a row that equals the first one
		return query
	}
	return query + ` AND b.body <> s.body`
}

// mergeInto merges lines into the existing rows of these ids. They are locked.
func mergeInto[T any](ctx context.Context, r *registration, k bodyKind[T], ids []string, byID map[string][]Line[T], inserted map[string]bool) error {
	type body struct {
		id   string
		text []byte
	}
	existing, err := db.Collect(ctx, r.tx, func(rows *sql.Rows) (b body, err error) {
		err = rows.Scan(&b.id, &b.text)
		return b, err
	}, `SELECT id, body FROM `+k.stage.from+` WHERE tenant = $1 AND id IN (`+db.Parameters(2, len(ids))+`)`, append([]any{r.tenant}, db.Texts(ids)...)...)
	if err != nil {
		return err
	}
	var rows [][]any
	var formers []former
	for _, b := range existing {
		lines := byID[b.id]
		merged, replaced, err := mergeLines(k, b.id, b.text, lines)
		if err != nil {
			return err
		}
		if len(replaced) == 0 && string(merged) == string(b.text) {
			continue
		}
		if inserted[b.id] {
			r.n.Changed-- // it is counted once
		}
		formers = append(formers, replaced...)
		rows = append(rows, k.row(&lines[len(lines)-1].Value, merged))
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.saveFormer(ctx, k.kind, formers); err != nil {
		return err
	}
	if err := r.stages.fill(ctx, k.stage, rows); err != nil {
		return err
	}
	return r.exec(ctx, k.update, r.tenant, r.at)
}

// mergeLines merges lines into an existing body, and gives the values that they replace.
func mergeLines[T any](k bodyKind[T], id string, body []byte, lines []Line[T]) (merged []byte, formers []former, err error) {
	const null = "null"
	for i := range lines {
		next := k.body(&lines[i].Value)
		body, err = rawjson.Merge(body, next, func(name string, before, after []byte) {
			if name != k.key && string(before) != null {
				formers = append(formers, former{id: id, field: name, value: string(before), cleared: string(after) == null})
			}
		})
		if err != nil {
			return nil, nil, domain.Wrap(domain.KindBadCatalog, err, "the catalog holds a body that is not a JSON object")
		}
		if len(body) > maxBody && len(body) > len(next) {
			return nil, nil, refuse(lines[i].Number, domain.KindInvalid, "merged with its earlier lines, the %s has more than %d bytes; send fewer or shorter fields", k.kind, maxBody)
		}
	}
	return body, formers, nil
}
