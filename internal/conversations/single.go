package conversations

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
)

// transcriptPiece is how much of a raw transcript is read at a time and kept in memory, in bytes.
// It is not smaller because the database decompresses the whole text for each piece.
const transcriptPiece = 4 << 20

// pieceTimeout bounds the wait for a piece, because an answer that has begun cannot report a delay.
const pieceTimeout = 30 * time.Second

// Export is one conversation with all data of its export.
type Export struct {
	Conversation domain.Conversation // without TranscriptRaw and TranscriptTurns
	Agent        *domain.Agent       // nil if no line of it was taken in
	Transcript   *Transcript         // nil if there is none, or it was not requested
}

// exportTexts are the columns that are read as text, NULL as "".
const exportTexts = `external_id session_id agent_id session_type session_status status call_successful locale tags metadata
	call_direction caller_phone callee_phone key_mode agent_model agent_architecture base_cost total_cost user_body user_id
	analysis recording_id recording_key`

// Export reads a conversation. Error: KindNotFound for one that is unknown, another tenant's, or
// without a line of its own.
func (r *Reader) Export(ctx context.Context, tenant, id string, transcript bool) (Export, error) {
	row := r.db.QueryRowContext(ctx, `SELECT coalesce(c.`+strings.Join(strings.Fields(exportTexts), `, ''), coalesce(c.`)+`, ''),
		c.start_us, c.end_us, c.last_action_us, c.transcript_created_us, c.analyzed_us, c.recording_created_us, c.line_hash,
		a.id, coalesce(a.name, ''), coalesce(a.description, ''), coalesce(a.body, ''), substr(`+rawBytes(r.db.Postgres())+`, 1, CAST($3 AS INTEGER)), t.raw IS NOT NULL
		FROM conversations c LEFT JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent_id
		LEFT JOIN transcripts t ON t.tenant = c.tenant AND t.conversation_id = c.id AND CAST($4 AS BOOLEAN)
		WHERE c.tenant = $1 AND c.id = $2 AND c.start_us IS NOT NULL AND c.agent_id IS NOT NULL`, tenant, id, transcriptPiece, transcript)
	e, err := scanExport(row, r.db, tenant, id)
	return e, db.NotFound(err, "the conversation does not exist")
}

// rawBytes is the transcript as bytes, so that the database finds a piece without counting
// characters.
func rawBytes(postgres bool) string {
	if postgres {
		return `convert_to(t.raw, 'UTF8')`
	}
	return `CAST(t.raw AS BLOB)`
}

func scanExport(row db.Row, d *db.DB, tenant, id string) (Export, error) {
	e := Export{Conversation: domain.Conversation{ID: id}}
	v := &e.Conversation
	var tags, metadata, base, total, user, analysis, agentName, agentText, agentBody string
	var start int64
	var end, last, transcribed, analyzed, recorded sql.NullInt64
	var hash, raw []byte
	var agentID sql.NullString
	var said bool
	err := row.Scan(&v.ExternalID, &v.SessionID, &v.AgentID, &v.SessionType, &v.SessionStatus, &v.Status, &v.CallSuccessful, &v.Locale,
		&tags, &metadata, &v.CallDirection, &v.CallerPhone, &v.CalleePhone, &v.KeyMode, &v.AgentModel, &v.AgentArchitecture, &base,
		&total, &user, &v.UserID, &analysis, &v.RecordingID, &v.RecordingKey,
		&start, &end, &last, &transcribed, &analyzed, &recorded, &hash, &agentID, &agentName, &agentText, &agentBody, &raw, &said)
	if err != nil {
		return e, err
	}
	v.Start, v.End, v.LastAction, v.TranscriptCreated = db.FromMicros(start), instant(end), instant(last), instant(transcribed)
	v.Analyzed, v.RecordingCreated = instant(analyzed), instant(recorded)
	v.Tags, v.Metadata, v.BaseCost, v.TotalCost = jsonOf(tags), jsonOf(metadata), jsonOf(base), jsonOf(total)
	v.User, v.AnalysisData = jsonOf(user), jsonOf(analysis)
	if agentID.Valid {
		e.Agent = &domain.Agent{ID: agentID.String, Name: agentName, Description: agentText, Body: jsonOf(agentBody)}
	}
	if said {
		e.Transcript = &Transcript{db: d, tenant: tenant, id: id, hash: hash, piece: raw}
	}
	return e, nil
}

// instant turns a nullable column into a time.
func instant(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := db.FromMicros(us.Int64)
	return &t
}

// jsonOf turns a column's text into JSON; nil for "".
func jsonOf(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// Transcript is a raw transcript that is read once, in pieces. Between two pieces it holds no
// connection, so that a slow reader blocks nothing.
type Transcript struct {
	db         *db.DB
	tenant, id string
	hash       []byte // hash of the conversation's line
	piece      []byte // the first piece, until Reader takes it
}

// Reader gives the transcript's bytes. It can be called once. Errors of the reader: KindConflict
// when the conversation was replaced meanwhile, KindUnavailable, and ctx's.
func (t *Transcript) Reader(ctx context.Context) io.Reader {
	r := &transcriptReader{Transcript: t, ctx: ctx}
	r.take(t.piece)
	t.piece = nil
	return r
}

type transcriptReader struct {
	*Transcript
	ctx  context.Context
	rest []byte // bytes that were read and not returned yet
	next int    // number of bytes that were read
	last bool
}

func (r *transcriptReader) take(piece []byte) {
	r.rest, r.next, r.last = piece, r.next+len(piece), len(piece) < transcriptPiece
}

func (r *transcriptReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && !r.last {
		if err := r.read(); err != nil {
			return 0, err
		}
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *transcriptReader) read() error {
	ctx, cancel := context.WithTimeout(r.ctx, pieceTimeout)
	defer cancel()
	var piece []byte
	err := r.db.QueryRowContext(ctx, `SELECT substr(`+rawBytes(r.db.Postgres())+`, CAST($3 AS INTEGER), CAST($4 AS INTEGER))
		FROM transcripts t JOIN conversations c ON c.tenant = t.tenant AND c.id = t.conversation_id
		WHERE t.tenant = $1 AND t.conversation_id = $2 AND c.line_hash = $5`, r.tenant, r.id, r.next+1, transcriptPiece, r.hash).Scan(&piece)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return domain.Errorf(domain.KindConflict, "the conversation was replaced while it was read")
	case err != nil:
		return err
	}
	r.take(piece)
	return nil
}
