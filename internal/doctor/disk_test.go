package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callvault/callvault/internal/domain"
)

func TestCheckDisk(t *testing.T) {
	dir := t.TempDir()
	if err := CheckDisk(dir, 1); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the probe left %v, %v", entries, err)
	}
	free, size, err := freeSpace(dir)
	if err != nil || free == 0 || size < free {
		t.Errorf("%d of %d are free, %v", free, size, err)
	}
	err = CheckDisk(dir, size+1)
	if domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(domain.SafeMessage(err), "is full") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a full disk gave %v", err)
	}
	if err := CheckDisk(filepath.Join(dir, "gone"), 1); domain.KindOf(err) != domain.KindUnavailable {
		t.Errorf("a directory that is gone gave %v", err)
	}
}

// TestCheckDiskWrites checks a file system that has free space and takes no file.
func TestCheckDiskWrites(t *testing.T) {
	err := CheckDisk("/proc/self", 0)
	if domain.KindOf(err) != domain.KindUnavailable || !strings.Contains(domain.SafeMessage(err), "nothing can be written") {
		t.Errorf("a file system that takes no file gave %v", err)
	}
}
