package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/callvault/callvault/internal/testenv"
)

// TestImageRuns starts the program as a container does: as another user, in a file system that has
// only the program and is read-only except for one volume.
func TestImageRuns(t *testing.T) {
	i := dockerfile(t)
	if i.program != i.entrypoint[0] || i.user == 0 || i.group == 0 || i.built != "/callvault" {
		t.Fatalf("the image is %+v", i)
	}
	root := t.TempDir()
	content, err := os.ReadFile(testenv.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, i.program), content, 0o555); err != nil {
		t.Fatal(err)
	}
	volume := filepath.Join(root, "data")
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(volume, i.user, i.group); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(root, 0o700); err != nil {
			t.Error(err)
		}
	})
	run := func(args ...string) *process {
		t.Helper()
		if len(args) == 0 {
			args = i.arguments
		}
		cmd := exec.Command(i.entrypoint[0], append(i.entrypoint[1:], args...)...)
		cmd.Dir = "/"
		cmd.Env = []string{"CALLVAULT_DATA=/data", "CALLVAULT_LISTEN=127.0.0.1:0"}
		cmd.SysProcAttr = i.confined(root)
		return begin(t, cmd)
	}
	help, version, all := run(), run("version"), run("standalone")
	if code := help.code(); code != 0 || !strings.Contains(help.out.String(), "standalone") {
		t.Errorf("without arguments it exits with %d and says %s", code, help.out)
	}
	if code, want := version.code(), "callvault "+testenv.Version+", "+runtime.Version()+", "; code != 0 || !strings.HasPrefix(version.out.String(), want) {
		t.Errorf("version exits with %d and says %s, want %s", code, version.out, want)
	}
	address := all.serving()
	eventually(t, "standalone is ready", func(ctx context.Context) string {
		if !readyAt(ctx, address) {
			return "it is not"
		}
		return ""
	})
	if ready := run("ready", address); ready.code() != 0 || ready.out.String() != "ready\n" {
		t.Errorf("ready says %s %s", ready.out, ready.log)
	}
	all.term()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("beside the program and its volume there is now %v", entries)
	}
}

// confined returns the attributes of a process with the image's user that sees no file outside
// root. Without root rights it uses a user namespace.
func (i image) confined(root string) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uint32(i.user), Gid: uint32(i.group)}}
	if os.Geteuid() != 0 {
		attributes.Cloneflags = syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: i.user, HostID: os.Getuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: i.group, HostID: os.Getgid(), Size: 1}}
		attributes.Credential.NoSetGroups = true
	}
	return attributes
}
