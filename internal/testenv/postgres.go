package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const postgresUser = "callvault"

// smallBuffers are enough for tests, of which several run at once.
const smallBuffers = "64MB"

type sharedPostgres struct {
	once   sync.Once
	err    error
	server *PostgresServer

	mu        sync.Mutex
	databases int
	templates map[string]*template
}

// template is a database that others are cloned from; made once.
type template struct {
	once sync.Once
	err  error
	name string
}

// PostgresServer is a PostgreSQL that one test owns, with its default
// durability: what it has committed survives Stop and Start.
type PostgresServer struct {
	Private
	password string
}

// Postgres returns the URL of a new, empty database of the shared PostgreSQL,
// dropped when the test ends. The shared server does not sync to disk.
func Postgres(t testing.TB) string {
	t.Helper()
	p := postgresFor(t)
	return p.create(t, "template1")
}

// PostgresFrom returns the URL of a new database that is a copy of the
// template called name. The first caller's prepare fills the template, given
// its URL, and must close its connections; all later callers of the process
// get copies of it, which takes 20 to 80 ms.
func PostgresFrom(t testing.TB, name string, prepare func(url string) error) string {
	t.Helper()
	p := postgresFor(t)
	p.mu.Lock()
	tmpl := p.templates[name]
	if tmpl == nil {
		tmpl = &template{name: fmt.Sprintf("template_%d", len(p.templates)+1)}
		p.templates[name] = tmpl
	}
	p.mu.Unlock()
	tmpl.once.Do(func() {
		tmpl.err = p.server.exec(t.Context(), "CREATE DATABASE "+tmpl.name+" TEMPLATE template1")
		if tmpl.err == nil {
			tmpl.err = prepare(p.server.url(tmpl.name))
		}
	})
	if tmpl.err != nil {
		t.Fatalf("testenv: prepare the postgres template %q: %v", name, tmpl.err)
	}
	return p.create(t, tmpl.name)
}

// NewPostgres starts a PostgreSQL for this test alone.
func NewPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	return private(t, smallBuffers, true)
}

// LargePostgres starts a PostgreSQL for this benchmark alone, with a gigabyte
// of buffers, so that what is asked for again and again stays in memory as it
// would in production. It does not sync to disk.
func LargePostgres(t testing.TB) *PostgresServer {
	t.Helper()
	return private(t, "1GB", false)
}

func private(t testing.TB, buffers string, durable bool) *PostgresServer {
	t.Helper()
	dir, err := shared.directory("postgres")
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	p, err := startPostgres(dir, buffers, durable)
	if err != nil {
		t.Fatal("testenv: ", err)
	}
	p.t = t
	p.server.private(t)
	return p
}

// URL is the postgres:// URL with the password, for the server's first database.
func (p *PostgresServer) URL() string { return p.url("postgres") }

func (p *PostgresServer) url(database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", postgresUser, p.password, p.Addr(), database)
}

func postgresFor(t testing.TB) *sharedPostgres {
	t.Helper()
	p := &shared.postgres
	p.once.Do(func() {
		p.templates = map[string]*template{}
		var dir string
		if dir, p.err = shared.inMemory("postgres"); p.err != nil {
			return
		}
		if p.server, p.err = startPostgres(dir, smallBuffers, false); p.err == nil {
			shared.own(p.server.server)
		}
	})
	if p.err != nil {
		t.Fatal("testenv: ", p.err)
	}
	if err := p.server.server.alive(); err != nil {
		t.Fatal("testenv: ", err)
	}
	return p
}

func (p *sharedPostgres) create(t testing.TB, from string) string {
	t.Helper()
	p.mu.Lock()
	p.databases++
	name := fmt.Sprintf("test_%d", p.databases)
	p.mu.Unlock()
	if err := p.server.clone(t.Context(), name, from); err != nil {
		t.Fatalf("testenv: create a postgres database: %v", err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := p.server.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("testenv: drop the postgres database: %v", err)
		}
	})
	return p.server.url(name)
}

// clone copies a database. PostgreSQL refuses while anybody is connected to
// the one copied from, and a closed connection takes a moment to be gone.
func (p *PostgresServer) clone(ctx context.Context, name, from string) error {
	const objectInUse = "55006"
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		err := p.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+from)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != objectInUse {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

func (p *PostgresServer) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

func startPostgres(dir, buffers string, durable bool) (*PostgresServer, error) {
	binary, err := find("postgres")
	if err != nil {
		return nil, err
	}
	p := &PostgresServer{password: secret()}
	credential, err := otherUser()
	if err != nil {
		return nil, err
	}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return nil, fmt.Errorf("hand the directory to PostgreSQL's user: %w", err)
		}
	}
	data := filepath.Join(dir, "data")
	if err := p.initialize(dir, data, credential); err != nil {
		return nil, err
	}
	p.server = &server{
		// SIGQUIT ends all of its processes at once and recovers at the next
		// start; after SIGKILL the remaining ones block that start for a while.
		name: "postgres", dir: dir, crash: syscall.SIGQUIT, attr: credential,
		command: func(port int) *exec.Cmd { return exec.Command(binary, postgresArgs(data, port, buffers, durable)...) },
		ready: func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, p.URL())
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
	}
	return p, p.server.start()
}

func postgresArgs(data string, port int, buffers string, durable bool) []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300",
		"shared_buffers=" + buffers, "dynamic_shared_memory_type=mmap", "timezone=UTC",
	}
	if !durable {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"autovacuum_naptime=1d", "max_wal_size=1GB", "checkpoint_timeout=1d")
	}
	args := []string{"-D", data, "-p", strconv.Itoa(port)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// initialize makes the data directory; the password is the only way in.
func (p *PostgresServer) initialize(dir, data string, credential *syscall.Credential) error {
	binary, err := find("initdb")
	if err != nil {
		return err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(p.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the PostgreSQL password: %w", err)
	}
	if credential != nil {
		if err := os.Chown(password, int(credential.Uid), int(credential.Gid)); err != nil {
			return fmt.Errorf("hand the password to PostgreSQL's user: %w", err)
		}
	}
	cmd := exec.Command(binary, "-D", data, "-U", postgresUser, "--pwfile", password,
		"--auth", "scram-sha-256", "-E", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// otherUser says as whom PostgreSQL runs: it refuses root.
func otherUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil // the current user
	}
	var errs []error
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			errs = append(errs, err)
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root and there is no other user for it: %w", errors.Join(errs...))
}
