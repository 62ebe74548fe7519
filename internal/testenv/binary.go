package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// find returns the absolute path of a program. It looks at the environment
// variable CALLVAULT_TEST_<NAME>, then in PATH, then in the repository's bin/,
// then where Debian keeps PostgreSQL's server programs, newest version first.
func find(name string) (string, error) {
	variable := "CALLVAULT_TEST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if path := os.Getenv(variable); path != "" {
		if !executable(path) {
			return "", fmt.Errorf("%s=%s is not an executable file", variable, path)
		}
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	if root, err := moduleRoot(); err == nil {
		if path := filepath.Join(root, "bin", name); executable(path) {
			return path, nil
		}
	}
	for _, path := range debianPostgres(name) {
		if executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run `make tools`, or put it into PATH, or name it in %s", name, variable)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// moduleRoot walks up from the working directory, which for a test is its
// package's directory, to the one that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir || !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the module's root: %w", err)
		}
		dir = parent
	}
}

func debianPostgres(name string) []string {
	paths, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		return nil
	}
	version := func(path string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil {
			return 0
		}
		return n
	}
	slices.SortFunc(paths, func(a, b string) int { return version(b) - version(a) })
	return paths
}
