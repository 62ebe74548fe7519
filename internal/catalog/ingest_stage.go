package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/callvault/callvault/internal/db"
)

// stage is a staging table for the lines of one kind. It is a temporary table, filled in bulk in
// the way of each database, and then merged by one SQL text for both.
type stage struct {
	name    string
	from    string // the table that gives the column types
	columns []string
}

func (s stage) list() string { return strings.Join(s.columns, ", ") }

// conversationStage has the conversation's columns, the hash and the mask of the fields.
func conversationStage() stage {
	columns := make([]string, 0, atRaw)
	for at, f := range conversationFields() {
		if at < atRaw {
			columns = append(columns, f.column)
		}
	}
	return stage{"stage_conversations", "(SELECT *, created_us AS present FROM conversations) c", columns}
}

func historyStage() stage {
	return stage{"stage_history", "history", []string{"seq", "id", "field", "head", "value", "tail"}}
}

func transcriptStage() stage {
	return stage{"stage_transcripts", "transcripts", []string{"conversation_id", "raw"}}
}

func objectStage() stage { return stage{"stage_objects", "objects", []string{"key", "day"}} }

func recordingStage() stage {
	return stage{"stage_recordings", "recordings", []string{"day", "object_key", "hour", "session_id", "conversation_id",
		"message_id", "type", "ts_us", "size", "crc32", "content_type", "sha256", "sha256_origin", "etag"}}
}

// stager fills stages within one transaction.
type stager struct {
	tx     *db.Tx
	filled map[string]bool
}

// fill replaces the stage's rows by these. They stay until the transaction ends.
func (s stager) fill(ctx context.Context, st stage, rows [][]any) error {
	ends := ""
	if s.tx.Postgres() {
		ends = " ON COMMIT DELETE ROWS"
	}
	_, err := s.tx.ExecContext(ctx, "CREATE TEMP TABLE IF NOT EXISTS "+st.name+ends+" AS SELECT "+st.list()+" FROM "+st.from+" WHERE 1 = 0")
	if err != nil {
		return fmt.Errorf("make %s: %w", st.name, err)
	}
	if s.filled[st.name] || !s.tx.Postgres() {
		if _, err := s.tx.ExecContext(ctx, "DELETE FROM "+st.name); err != nil {
			return err
		}
	}
	s.filled[st.name] = true
	return s.tx.Insert(ctx, st.name, st.columns, rows)
}

// byKey sorts lines by their key, bytewise, and gives the lines of each key in their order, as a
// group.
func byKey[T any](lines []Line[T], key func(*T) string) (groups [][]Line[T]) {
	sorted := slices.Clone(lines)
	slices.SortStableFunc(sorted, func(a, b Line[T]) int { return strings.Compare(key(&a.Value), key(&b.Value)) })
	for n := 0; len(sorted) > 0; sorted, n = sorted[n:], 0 {
		for n < len(sorted) && key(&sorted[n].Value) == key(&sorted[0].Value) {
			n++
		}
		groups = append(groups, sorted[:n:n])
	}
	return groups
}

// Existing rows are named and read some at a time.
const (
	idChunk   = 500     // ids that one statement names
	readBytes = 4 << 20 // bytes of existing values that are read at a time; a larger value is read alone
)

// sizedRow is a row to read, with its length in bytes.
type sizedRow struct {
	id    string
	bytes int64
}

// inSizedChunks calls fn with some ids at a time. Their rows have at most readBytes together, or
// there is one id.
func inSizedChunks(list []sizedRow, fn func(ids []string) error) error {
	for n := 0; len(list) > 0; list, n = list[n:], 0 {
		var ids []string
		for size := int64(0); n < len(list) && n < idChunk && (n == 0 || size+list[n].bytes <= readBytes); n++ {
			size += list[n].bytes
			ids = append(ids, list[n].id)
		}
		if err := fn(ids); err != nil {
			return err
		}
	}
	return nil
}
