package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a PgBouncer for this test alone, in front of the database that the URL names,
// and gives its URL for that database. The mode is a value of PgBouncer's pool_mode.
func PgBouncer(t testing.TB, database, mode string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	binary, err := find("pgbouncer")
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	dir, err := shared.directory("pgbouncer")
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	name := strings.Trim(u.Path, "/")
	password, _ := u.User.Password()
	credential, err := otherUser() // PgBouncer refuses root too
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			t.Fatal("testenv: ", err)
		}
	}
	s := &server{name: "pgbouncer", dir: dir, crash: syscall.SIGKILL, attr: credential}
	at := func() string {
		there := *u
		there.Host = s.addr()
		return there.String()
	}
	s.command = func(port int) *exec.Cmd {
		ini := filepath.Join(dir, "pgbouncer.ini")
		text := fmt.Sprintf("[databases]\n%s = host=%s port=%s user=%s password=%s\n"+
			"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\nauth_type=any\npool_mode=%s\n",
			name, u.Hostname(), u.Port(), u.User.Username(), password, port, mode)
		// PgBouncer, which may run as another user, says so when it cannot read the file.
		_ = os.WriteFile(ini, []byte(text), 0o644)
		return exec.Command(binary, ini)
	}
	s.ready = func(ctx context.Context) error {
		config, err := pgx.ParseConfig(at())
		if err != nil {
			return err
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	if err := s.start(); err != nil {
		t.Fatal("testenv: ", err)
	}
	s.private(t)
	return at()
}
