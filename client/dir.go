package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Others who can write to the directory of a pull could put symbolic links there, even while pull
// opens a file. So files are opened below an os.Root, which refuses links that lead out of it. The
// functions here refuse links that stay inside as well.

// maxSmallFile is the most bytes of a day.json or a note. A day.json has some 10 KB; decoded, a
// hostile one takes a hundred times its size.
const maxSmallFile = 256 << 10

// errNotPlain means that something else stands where a file or directory should be.
var errNotPlain = errors.New("it is a symbolic link, or something else that pull does not make there; remove it")

// openSame opens a name and refuses a symbolic link: what was opened must be what the name itself
// is. want is its type, 0 for a regular file or fs.ModeDir.
func openSame[F interface{ Close() error }](root *os.Root, name string, want fs.FileMode, open func() (F, error), stat func(F) (fs.FileInfo, error)) (F, error) {
	var none F
	before, err := root.Lstat(name)
	if err != nil {
		return none, err
	}
	if before.Mode().Type() != want {
		return none, &fs.PathError{Op: "open", Path: name, Err: errNotPlain}
	}
	f, err := open()
	if err != nil {
		return none, err
	}
	opened, err := stat(f)
	if err == nil && !os.SameFile(before, opened) {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotPlain} // it was replaced meanwhile
	}
	if err != nil {
		return none, errors.Join(err, f.Close())
	}
	return f, nil
}

// openFile opens a regular file. Its error is fs.ErrNotExist when there is none.
func openFile(root *os.Root, name string, flag int) (*os.File, error) {
	return openSame(root, name, 0,
		func() (*os.File, error) { return root.OpenFile(name, flag|syscall.O_NONBLOCK, 0) }, // opening a pipe does not block
		(*os.File).Stat)
}

// openDir opens a directory in the root.
func openDir(root *os.Root, name string) (*os.Root, error) {
	return openSame(root, name, fs.ModeDir,
		func() (*os.Root, error) { return root.OpenRoot(name) },
		func(r *os.Root) (fs.FileInfo, error) { return r.Stat(".") })
}

// createFile makes a new file, in place of whatever has the name.
func createFile(root *os.Root, name string) (*os.File, error) {
	if err := removeIfExists(root, name); err != nil {
		return nil, err
	}
	return root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link
}

// readFile reads a small regular file.
func readFile(root *os.Root, name string) ([]byte, error) {
	f, err := openFile(root, name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(body) > maxSmallFile {
		err = fmt.Errorf("%s has more than %d bytes", name, maxSmallFile)
	}
	return body, err
}

// replaceable refuses a directory, in whose place no file can be put.
func replaceable(root *os.Root, name string) error {
	if info, err := root.Lstat(name); err == nil && info.IsDir() {
		return &fs.PathError{Op: "replace", Path: name, Err: errors.New("it is a directory; remove it")}
	}
	return nil
}

// writeFile writes a small file whole, or not at all.
func writeFile(root *os.Root, name string, body []byte) error {
	if err := replaceable(root, name); err != nil {
		return err
	}
	file, err := createFile(root, name+".tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(body)
	return publishFile(root, file, err, name+".tmp", name)
}

// publishFile syncs and closes a file and renames it, so that a crash leaves the old file or the
// new one. err is the error of writing the file: then it only closes it.
func publishFile(root *os.Root, file *os.File, err error, from, to string) error {
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = renameFile(root, file, from, to)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// renameFile renames an open file, and checks that it was this one.
func renameFile(root *os.Root, file *os.File, from, to string) error {
	if err := root.Rename(from, to); err != nil {
		return err
	}
	open, err := file.Stat()
	if err != nil {
		return err
	}
	there, err := root.Lstat(to)
	if err == nil && !os.SameFile(open, there) {
		err = errors.Join(fmt.Errorf("%s was replaced by something else while it was written", from), root.Remove(to))
	}
	return err
}

func removeIfExists(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readFileIn is readFile for a directory that is opened for it.
func readFileIn(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	body, err := readFile(root, name)
	return body, errors.Join(err, root.Close())
}
