package catalog

import (
	"context"
	"encoding/json"
	"time"

	"github.com/callvault/callvault/internal/catalog/clock"
	"github.com/callvault/callvault/internal/db"
	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/rawjson"
)

// farAhead is more than a sender's wrong clock or time zone explains.
const farAhead = 24 * time.Hour

// Register takes a batch in, in one transaction. Each line is a patch: its fields replace the
// existing ones, and absent fields stay as they are. A repeated line changes nothing. Replaced and
// cleared values are kept as former values, and the audit log has their number. The wanted counter
// of every hour with a new or changed recording is raised. Lines of erased conversations are
// counted and not stored.
//
// Errors: KindNotFound for an unknown tenant, KindForbidden for a closed one, KindUnavailable. One
// bad line gives a *LineError. It is KindConflict for a recording that contradicts what is known of
// its object, and for a total that contradicts another. It is KindEnding for what has ended and is
// still being deleted. It is KindInvalid for an object key that is not the tenant's, for a new
// conversation without its agent or start, and for a total of an hour or day that has not begun.
func (c *Catalog) Register(ctx context.Context, tenant string, b Batch) (Counts, error) {
	if b.Len() > MaxBatch {
		return Counts{}, domain.Errorf(domain.KindTooLarge, "a batch has at most %d lines", MaxBatch)
	}
	var n Counts
	err := c.db.Update(ctx, func(tx *db.Tx) error {
		r := &registration{c: c, tx: tx, tenant: tenant, origin: b.Origin, fields: conversationFields(), formerCounts: map[string]*formerCount{},
			stages: stager{tx: tx, filled: map[string]bool{}}}
		batch := b // which the run may change
		if err := r.run(ctx, &batch); err != nil {
			return err
		}
		n = r.n
		return nil
	})
	return n, err
}

// run takes the kinds in, in a fixed order, and each kind in the order of its keys, so that two
// batches wait for each other instead of deadlocking.
func (r *registration) run(ctx context.Context, b *Batch) (err error) {
	if r.c.db.Postgres() {
		// A cached plan of the time when the tables were small would read whole tables for every
		// line.
		if _, err := r.tx.ExecContext(ctx, `SET LOCAL plan_cache_mode = force_custom_plan`); err != nil {
			return err
		}
	}
	if r.erased, err = requireOpen(ctx, r.tx, r.tenant); err != nil {
		return err
	}
	if r.at, err = clock.Now(ctx, r.tx); err != nil {
		return err
	}
	r.n = Counts{Agents: len(b.Agents), Conversations: len(b.Conversations), Messages: len(b.Messages), Recordings: len(b.Recordings), Totals: len(b.Totals)}
	for _, l := range b.Recordings {
		if l.Value.Timestamp.Sub(db.FromMicros(r.at)) > farAhead {
			r.n.Ahead++
		}
	}
	if err := r.leaveErased(ctx, b); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return mergeBodies(ctx, r, agentBodies(), b.Agents) },
		func() error { return r.conversations(ctx, b) },
		func() error { return r.refuseEnding(ctx, b) },
		func() error { return mergeBodies(ctx, r, messageBodies(), b.Messages) },
		func() error { return r.recordings(ctx, b.Recordings, b.Conversations) },
		func() error { return r.auditReplaced(ctx) },
		func() error { return r.totals(ctx, b.Totals) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if r.n.TooLate, err = r.c.raiseWanted(ctx, r.tx, r.fresh, r.touched, nil); err != nil {
		return err
	}
	return r.compareTotals(ctx)
}

func agentBodies() bodyKind[domain.Agent] {
	return bodyKind[domain.Agent]{kind: kindAgent,
		stage: stage{"stage_agents", "agents", []string{"id", "name", "description", "body"}},
		key:   "agentId",
		id:    func(a *domain.Agent) string { return a.ID },
		body:  func(a *domain.Agent) json.RawMessage { return a.Body },
		row: func(a *domain.Agent, body []byte) []any {
			name := a.Name
			if name == "" {
				name = rawjson.Text(body, "name")
			}
			return []any{a.ID, name, db.OrNull(rawjson.Text(body, "description")), string(body)}
		},
		insert: `INSERT INTO agents (tenant, id, name, description, body, updated_us)
			SELECT CAST($1 AS TEXT), id, name, description, body, CAST($2 AS BIGINT) FROM stage_agents WHERE TRUE ORDER BY id
			ON CONFLICT (tenant, id) DO UPDATE SET updated_us = agents.updated_us WHERE agents.tenant IS NULL`,
		update: `UPDATE agents SET name = s.name, description = s.description, body = s.body, updated_us = $2
			FROM stage_agents s WHERE agents.tenant = $1 AND agents.id = s.id`,
	}
}

func messageBodies() bodyKind[domain.Message] {
	return bodyKind[domain.Message]{kind: kindMessage,
		stage: stage{"stage_messages", "messages", []string{"id", "conversation_id", "time_us", "type", "body"}},
		key:   "messageId",
		id:    func(m *domain.Message) string { return m.ID },
		body:  func(m *domain.Message) json.RawMessage { return m.Body },
		row: func(m *domain.Message, body []byte) []any {
			return []any{m.ID, m.ConversationID, db.Micros(m.Time), m.Type, string(body)}
		},
		insert: `INSERT INTO messages (tenant, id, conversation_id, time_us, type, body, agent_id)
			SELECT CAST($1 AS TEXT), id, conversation_id, time_us, type, body,
				(SELECT c.agent_id FROM conversations c WHERE c.tenant = $1 AND c.id = stage_messages.conversation_id)
			FROM stage_messages WHERE CAST($2 AS BIGINT) > 0 ORDER BY id
			ON CONFLICT (tenant, id) DO UPDATE SET body = messages.body WHERE messages.tenant IS NULL`,
		update: `UPDATE messages SET conversation_id = s.conversation_id, time_us = s.time_us, type = s.type, body = s.body,
				agent_id = (SELECT c.agent_id FROM conversations c WHERE c.tenant = $1 AND c.id = s.conversation_id)
			FROM stage_messages s WHERE CAST($2 AS BIGINT) > 0 AND messages.tenant = $1 AND messages.id = s.id`,
	}
}
