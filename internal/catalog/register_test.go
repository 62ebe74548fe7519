package catalog_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/callvault/callvault/internal/catalog"
	"github.com/callvault/callvault/internal/catalog/audit"
	"github.com/callvault/callvault/internal/catalog/catalogtest"
	"github.com/callvault/callvault/internal/domain"
)

func TestRegister(t *testing.T) {
	for name, open := range openers() {
		t.Run(name, func(t *testing.T) { catalogtest.RunRegister(t, open) })
	}
}

// raceFixture is a PostgreSQL catalog in which a test stops transactions before their end. SQLite
// has one writer, so two registrations never run at the same time there.
type raceFixture struct {
	*testing.T
	c    *catalog.Catalog
	raw  *sql.DB
	day  domain.Day
	hold domain.Day // the day whose row the test locks
}

func newRaceFixture(t *testing.T) *raceFixture {
	t.Helper()
	url := catalogtest.Postgres(t)
	m := &raceFixture{T: t, c: catalogtest.Open(t, url)}
	var err error
	if m.raw, err = sql.Open("pgx", url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.must(m.raw.Close()) })
	_, err = m.c.CreateTenant(t.Context(), domain.Tenant{ID: "acme", Recordings: true, RetentionDays: 3, DayLimit: 5, DownloadLimit: 5}, audit.Origin{})
	m.must(err)
	now, err := m.c.Now(t.Context())
	m.must(err)
	m.day = domain.DayOf(now).Add(-1)
	m.hold = m.day.Add(-1)
	m.must(m.register(m.batch("first", m.day, 0)))
	m.must(m.register(m.batch("first", m.hold, 0)))
	return m
}

func (m *raceFixture) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *raceFixture) batch(key string, day domain.Day, hour int) catalog.Batch {
	return catalog.Batch{Recordings: []catalog.Line[domain.Recording]{{Number: 1, Value: domain.Recording{
		ObjectKey: fmt.Sprintf("%s/%s", day, key), ConversationID: "c-" + key, SessionID: "s", Type: "t",
		Timestamp: day.Start().Add(time.Duration(hour) * time.Hour)}}}}
}

func (m *raceFixture) register(b catalog.Batch) error {
	_, err := m.c.Register(m.Context(), "acme", b)
	return err
}

// lockDay locks a day's row until the returned function is called.
func (m *raceFixture) lockDay(day domain.Day) (release func()) {
	m.Helper()
	return m.lock(`SELECT 1 FROM days WHERE tenant = 'acme' AND day = $1 FOR UPDATE`, string(day))
}

func (m *raceFixture) lock(query, key string) (release func()) {
	m.Helper()
	tx, err := m.raw.BeginTx(m.Context(), nil)
	m.must(err)
	res, err := tx.ExecContext(m.Context(), query, key)
	m.must(err)
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		m.Fatalf("locked %d rows, want one (%v)", n, err)
	}
	return func() { m.must(tx.Rollback()) }
}

// blocked waits until n transactions wait for a lock, or until done gives an answer. It is true for
// the first.
func (m *raceFixture) blocked(n int, done <-chan error) bool {
	m.Helper()
	for {
		var waiting int
		m.must(m.raw.QueryRowContext(m.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND datname = current_database()`).Scan(&waiting))
		if waiting >= n {
			return true
		}
		select {
		case err := <-done:
			m.must(err)
			return false
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (m *raceFixture) start(b catalog.Batch) <-chan error {
	done := make(chan error, 1)
	go func() { done <- m.register(b) }()
	return done
}

// build builds an hour of the day until it is not due any more, and gives the last external id.
func (m *raceFixture) build(hour int, last string) string {
	m.Helper()
	key := domain.HourKey{Tenant: "acme", Day: m.day, Hour: hour}
	_, err := m.c.PlanDay(m.Context(), "acme", m.day)
	m.must(err)
	for {
		claim, ok, err := m.c.Claim(m.Context(), key, "w")
		m.must(err)
		if !ok {
			return last
		}
		in, err := m.c.BuildInput(m.Context(), claim)
		m.must(err)
		m.must(m.c.StartArchive(m.Context(), claim))
		m.must(m.c.Commit(m.Context(), claim, catalog.BuildResult{Wanted: in.Wanted, Files: len(in.Recordings), Sessions: []domain.Session{{SessionID: "s"}}}))
		for _, r := range in.Recordings {
			last = r.ExternalConversationID
		}
	}
}

// named is a batch with the line that names the conversation. It must also lock the locked day.
func (m *raceFixture) named() catalog.Batch {
	b := m.batch("other", m.hold, 1)
	b.Conversations = []catalog.Line[domain.Conversation]{{Number: 2, Value: domain.Conversation{
		ID: "c-x", AgentID: "a", ExternalID: "named", Start: m.day.Start()}}}
	return b
}

// The transaction with the name has read the recordings, and waits before its commit. Then the
// recording comes. It must wait, because otherwise it is archived under the old name for ever.
func TestRecordingBeforeName(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("conversation known %v", known), func(t *testing.T) {
			m := newRaceFixture(t)
			if known {
				m.must(m.register(m.batch("x", m.day.Add(-2), 2)))
			}
			release := m.lockDay(m.hold)
			name := m.start(m.named())
			m.blocked(1, name)
			recording := m.start(m.batch("x", m.day, 5))
			last := ""
			waits := m.blocked(2, recording)
			if !waits {
				last = m.build(5, last)
			}
			release()
			m.must(<-name)
			if waits {
				m.must(<-recording)
			}
			m.must(catalogtest.ShiftClock(t.Context(), m.c, time.Hour))
			if last = m.build(5, last); last != "named" {
				t.Fatalf("archived under %q, want named", last)
			}
		})
	}
}

// The transaction with the recording waits before its commit. Then the name comes.
func TestNameBeforeRecording(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("conversation known %v", known), func(t *testing.T) {
			m := newRaceFixture(t)
			if known {
				m.must(m.register(m.batch("x", m.day.Add(-2), 2)))
			}
			release := m.lockDay(m.day)
			recording := m.start(m.batch("x", m.day, 5))
			m.blocked(1, recording)
			name := m.start(m.named())
			waits := m.blocked(2, name)
			release()
			m.must(<-recording)
			if waits {
				m.must(<-name)
			}
			m.must(catalogtest.ShiftClock(t.Context(), m.c, time.Hour))
			if last := m.build(5, ""); last != "named" {
				t.Fatalf("archived under %q, want named", last)
			}
		})
	}
}

// Both come while another transaction locks the conversation's row. Each must wait for this lock
// before it reads anything, so that the second one sees what the first one did.
func TestNameAndRecordingRaceForTheConversation(t *testing.T) {
	m := newRaceFixture(t)
	m.must(m.register(m.batch("x", m.day.Add(-2), 2)))
	release := m.lock(`SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE`, "c-x")
	name := m.start(m.named())
	m.blocked(1, name)
	recording := m.start(m.batch("x", m.day, 5))
	last := ""
	waits := m.blocked(2, recording)
	if !waits {
		last = m.build(5, last)
	}
	release()
	m.must(<-name)
	if waits {
		m.must(<-recording)
	}
	m.must(catalogtest.ShiftClock(t.Context(), m.c, time.Hour))
	if last = m.build(5, last); last != "named" {
		t.Fatalf("archived under %q, want named", last)
	}
}

// A correction waits before its commit. Then the recording's line comes again, with the original
// values and with the corrected ones. Both must wait for the correction, and change nothing.
func TestLinesRaceCorrection(t *testing.T) {
	m := newRaceFixture(t)
	first, later := m.batch("first", m.day, 0), m.batch("first", m.day, 0)
	later.Recordings[0].Value.Timestamp = m.hold.Start()
	release := m.lockDay(m.hold)
	done := make(chan error, 1)
	go func() {
		_, err := m.c.Correct(m.Context(), catalog.Correction{Tenant: "acme", ObjectKey: first.Recordings[0].Value.ObjectKey, Reason: "r",
			Timestamp: &later.Recordings[0].Value.Timestamp})
		done <- err
	}()
	m.blocked(1, done)
	asItWas, asItIs := m.start(first), m.start(later)
	m.blocked(3, asItWas)
	release()
	m.must(<-done)
	m.must(<-asItWas)
	m.must(<-asItIs)
	_, err := m.c.PlanDay(m.Context(), "acme", m.hold)
	m.must(err)
	claim, _, err := m.c.Claim(m.Context(), domain.HourKey{Tenant: "acme", Day: m.hold}, "w")
	m.must(err)
	in, err := m.c.BuildInput(m.Context(), claim)
	if err != nil || len(in.Recordings) != 2 {
		t.Fatalf("%d recordings lie in the hour, want 2: %v", len(in.Recordings), err)
	}
}
