package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/doctor"
	"github.com/callvault/callvault/internal/testenv"
)

// A former program would start without its objects if they moved before the schema is new. So they
// stay where the schema can't be brought up, and where doctor looks alone.
func TestObjectsMoveAfterTheSchema(t *testing.T) {
	data := t.TempDir()
	database := "sqlite://" + filepath.Join(data, catalogName)
	former := filepath.Join(data, objectsName, "objects", "recordings", "a")
	if err := os.MkdirAll(filepath.Dir(former), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(former, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := testenv.Raw(t, database).ExecContext(t.Context(), "CREATE TABLE goose_db_version (broken TEXT)"); err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{}
	cfg.Data, cfg.Recordings, cfg.Archives, cfg.DrainTimeout = data, "recordings", "archives", time.Second
	results := map[string]doctor.Result{}
	s := doctor.Subject{Config: cfg, Limit: time.Second, Now: time.Now}
	if _, err := Diagnose(t.Context(), s, func(r doctor.Result) { results[r.Name] = r }, zap.NewNop()); err != nil {
		t.Error(err)
	}
	if results["objects"].Status != doctor.Fail || results["catalog"].Status != doctor.OK {
		t.Errorf("doctor says %+v", results)
	}
	if _, err := os.Stat(former); err != nil {
		t.Error("doctor has moved it: ", err)
	}
	g := NewGroup(zap.NewNop(), time.Second)
	_, err := Open(t.Context(), cfg, nil, false, g, zap.NewNop())
	if err = g.Abandon(err); err == nil {
		t.Error("a broken schema was brought up")
	}
	if _, err := os.Stat(former); err != nil {
		t.Error("it moved before the schema was new: ", err)
	}
}
