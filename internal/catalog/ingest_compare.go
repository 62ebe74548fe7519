package catalog

import (
	"context"
	"database/sql"
	"strings"

	"github.com/callvault/callvault/internal/domain"
)

// stoodConversation is a conversation whose lines may say something new, and what stood before them: of
// long values only how many bytes they have.
type stoodConversation struct {
	*told
	row     []any
	changed bool
}

// stood reads what stands of the conversations that the lines tell of, but for those whose lines are
// the last that changed them. Their rows are locked.
func (r *registration) stood(ctx context.Context, list []told) ([]stoodConversation, error) {
	place := make(map[string]*told, len(list))
	for i := range list {
		place[list[i].id] = &list[i]
	}
	return collect(ctx, r.tx, func(rows *sql.Rows) (stoodConversation, error) {
		row := make([]any, places)
		into := []any{&row[atID]}
		for at, f := range r.fields {
			if f.name != "" {
				into = append(into, &row[at])
			}
		}
		err := rows.Scan(into...)
		id, _ := row[atID].(string)
		return stoodConversation{told: place[id], row: row}, err
	}, stoodSQL(), r.tenant)
}

// stoodSQL begins at the few staged rows.
func stoodSQL() string {
	columns := []string{"c.id"}
	for at, f := range conversationFields() {
		column := "c." + f.column
		if at == atRaw {
			column = "t." + f.column
		}
		if f.long {
			column = "CAST(octet_length(" + column + ") AS BIGINT)"
		}
		if f.name != "" {
			columns = append(columns, column)
		}
	}
	return `SELECT ` + strings.Join(columns, ", ") + ` FROM stage_conversations s
		CROSS JOIN conversations c LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id
		WHERE c.tenant = $1 AND c.id = s.id AND s.line_hash IS NOT NULL AND c.line_hash IS DISTINCT FROM s.line_hash`
}

// refuseLacking refuses the first line of a conversation that is not known and that lacks what is
// needed to make it known.
func refuseLacking(stood []stoodConversation) error {
	var first *told
	for _, s := range stood {
		if s.lacks != "" && s.row[atStart] == nil && (first == nil || s.line < first.line) {
			first = s.told
		}
	}
	if first == nil {
		return nil
	}
	return refuse(first.line, domain.KindInvalid, "%q is missing: nothing is known of this conversation yet", first.lacks)
}

// compare says which conversations change, and gives the values that are replaced or cleared.
func (r *registration) compare(ctx context.Context, stood []stoodConversation) ([]former, error) {
	var formers []former
	var long [places][]longValue
	for i := range stood {
		s := &stood[i]
		s.changed = len(s.between) > 0
		for at, f := range r.fields {
			before, after := s.row[at], s.first[at]
			switch {
			case f.name == "" || s.said>>at&1 == 0:
			case before == nil || f.long && !worthReading(before, after):
				s.changed = s.changed || before != s.last[at]
				if before != nil {
					formers = append(formers, former{id: s.id, field: f.name, copied: true, cleared: after == nil})
				}
			case f.long:
				long[at] = append(long[at], longValue{s, before.(int64)}) //nolint:forcetypeassert // it is a length
			default:
				s.changed = s.changed || before != s.last[at]
				if before != after {
					formers = append(formers, formerOf(s.id, f.name, textOf(before), after))
				}
			}
		}
	}
	for at := range long {
		more, err := r.compareLong(ctx, at, long[at])
		if err != nil {
			return nil, err
		}
		formers = append(formers, more...)
	}
	for i := range stood {
		formers = append(formers, stood[i].between...)
	}
	return formers, nil
}

// worthReading says whether a value that stands is compared with the one that comes after it. One that
// is much longer differs, and has too little in common with it: that one is copied within the database,
// so that nobody makes a program hold more than its line brings.
func worthReading(before, after any) bool {
	length, _ := before.(int64)
	text, set := after.(string)
	return set && int64(len(text)) >= length/2
}

// longValue is a value that stands and is to be read.
type longValue struct {
	of     *stoodConversation
	length int64
}

// readAtOnce is how many bytes of values that stand are read at a time, unless one alone has more.
const readAtOnce = 4 << 20

// compareLong compares one field of some conversations, reading a few values at a time.
func (r *registration) compareLong(ctx context.Context, at int, list []longValue) (formers []former, err error) {
	table, id := "conversations", "id"
	if at == atRaw {
		table, id = "transcripts", "conversation_id"
	}
	place := make(map[string]*stoodConversation, len(list))
	rows := make([]sized, 0, len(list))
	for _, v := range list {
		place[v.of.id] = v.of
		rows = append(rows, sized{v.of.id, v.length})
	}
	err = inSizes(rows, func(ids []string) error {
		found, err := collect(ctx, r.tx, func(rows *sql.Rows) (v former, err error) {
			err = rows.Scan(&v.id, &v.value)
			return v, err
		}, `SELECT `+id+`, `+r.fields[at].column+` FROM `+table+` WHERE tenant = $1 AND `+id+` IN (`+parameters(2, len(ids))+`)`, append([]any{r.tenant}, texts(ids)...)...)
		for _, v := range found {
			s := place[v.id]
			s.changed = s.changed || s.last[at] != v.value
			if s.first[at] == v.value {
				continue
			}
			f := formerOf(v.id, r.fields[at].name, v.value, s.first[at])
			if len(f.value) == len(v.value) && len(f.value) > shortValue { // nothing is gained by having read it
				f.value, f.copied = "", true
			}
			formers = append(formers, f)
		}
		return err
	})
	return formers, err
}
