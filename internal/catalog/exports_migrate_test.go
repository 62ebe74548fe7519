package catalog

import (
	"testing"
	"time"
)

// TestExportsMigrate migrates a catalog that holds conversations and messages already, there and back.
func TestExportsMigrate(t *testing.T) {
	for name, url := range databases(t) {
		t.Run(name, func(t *testing.T) {
			c, err := Open(t.Context(), url, Rules{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}()
			p, err := c.provider(c.write.DB)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.UpTo(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{
				`INSERT INTO conversations (tenant, id, agent_id, start_us, created_us, updated_us) VALUES ('acme', 'c1', 'bot', 5, 0, 0), ('other', 'c2', 'bot', 5, 0, 0)`,
				`INSERT INTO messages (tenant, id, conversation_id, time_us, type, body) VALUES
					('acme', 'm1', 'c1', 5, 'UserInput', '{}'), ('acme', 'm2', 'c2', 5, 'UserInput', '{}'), ('acme', 'm3', 'c2', 6, 'x', '{}')`,
			} {
				if _, err := c.write.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if _, err := p.UpTo(t.Context(), 2); err != nil {
					t.Fatal(err)
				}
				page, err := c.ExportMessages(t.Context(), ExportWindow{Tenant: "acme", Agents: []string{"bot"}, From: fromMicros(0), To: fromMicros(0).Add(time.Second)},
					&Position{}, ExportLimit{Rows: 10, Bytes: 1000}) // a walk that began with this step
				if err != nil || len(page.Rows) != 1 || page.Rows[0].ID != "m1" {
					t.Errorf("%+v, %v", page.Rows, err)
				}
				var stubs int
				if err := c.read.QueryRowContext(t.Context(), `SELECT count(*) FROM conversations WHERE tenant = 'acme' AND id = 'c2' AND start_us IS NULL`).Scan(&stubs); err != nil || stubs != 1 {
					t.Errorf("%d rows stand for the unknown conversation, %v", stubs, err)
				}
				if _, err := p.DownTo(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
			}
			if !c.postgres {
				return
			}
			if _, err := p.UpTo(t.Context(), 27); err != nil {
				t.Fatal(err)
			}
			var known int
			err = c.read.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stats WHERE tablename IN ('conversations_agent_printed', 'messages_agent_printed')`).Scan(&known)
			if err != nil || known != 2 {
				t.Errorf("PostgreSQL knows %d of 2 indexes' values, %v", known, err)
			}
		})
	}
}
