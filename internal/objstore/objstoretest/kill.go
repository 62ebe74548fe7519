package objstoretest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/callvault/callvault/internal/domain"
	"github.com/callvault/callvault/internal/objstore"
)

const (
	writerVariable = "CALLVAULT_STORE_WRITER" // where the bucket is that this process is to write into
	writers        = 8
	kills          = 3
	written        = 200 // objects that are acknowledged before a kill
	longerThan     = 25  // every so many objects are written in two parts
)

// Writes makes this process the one that [Run] kills, if it is: its TestMain returns then.
func Writes(store Store) bool {
	where := os.Getenv(writerVariable)
	if where == "" {
		return false
	}
	if err := write(store, where); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return true
}

// write writes objects until it is killed, some at once, and prints the key of each that the store
// has acknowledged.
func write(store Store, where string) error {
	bucket, err := store.Open(where)
	if err != nil {
		return err
	}
	var printing sync.Mutex
	var group sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		group.Go(func() {
			for n := 0; errs[w] == nil; n++ {
				key := fmt.Sprintf("%d/folder-%d/%d-%d", os.Getpid(), n/10, w, n)
				if errs[w] = writeOne(bucket, key, n); errs[w] == nil {
					printing.Lock()
					_, errs[w] = fmt.Fprintln(os.Stdout, key)
					printing.Unlock()
				}
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// contentOf makes a key's bytes.
func contentOf(key string) []byte { return bytes.Repeat([]byte(key+"\n"), 2000) }

func writeOne(bucket Bucket, key string, n int) error {
	ctx, data := context.Background(), contentOf(key)
	if n%longerThan > 0 {
		_, err := bucket.Put(ctx, key, data, objstore.PutOptions{ContentType: opus, IfNoneMatch: true})
		return err
	}
	data = append(bytes.Repeat([]byte("."), minPart), data...)
	id, err := bucket.NewUpload(ctx, key, objstore.UploadOptions{ContentType: opus, PartSize: minPart})
	if err != nil {
		return err
	}
	var parts []objstore.Part
	for i, part := range [][]byte{data[minPart:], data[:minPart]} {
		p, err := bucket.PutPart(ctx, key, id, 2-i, part, crc32.ChecksumIEEE(part))
		if err != nil {
			return err
		}
		parts = append(parts, p)
	}
	_, err = bucket.Complete(ctx, key, id, parts, objstore.CompleteOptions{IfNoneMatch: true})
	return err
}

// killedWriters kills a process with eight writers again and again: what was acknowledged is there
// whole, and what was not is there whole or not at all.
func killedWriters(t *testing.T, f *fixture) {
	for range kills {
		acknowledged, process := f.killOne(t)
		bucket, err := f.store.Open(f.where) // what is left unfinished does not hinder the next one
		if err != nil {
			t.Fatal(err)
		}
		f.bucket = bucket
		for key := range acknowledged {
			f.whole(t, key)
		}
		for w := range writers { // the next ones of each writer were under way
			for n := range written * 4 {
				key := fmt.Sprintf("%d/folder-%d/%d-%d", process, n/10, w, n)
				if acknowledged[key] {
					continue
				}
				if _, err := bucket.Stat(t.Context(), key); err == nil {
					f.whole(t, key)
				} else {
					wantKind(t, "look up "+key, err, domain.KindNotFound)
				}
				if _, err := bucket.Put(t.Context(), key, []byte("again"), objstore.PutOptions{IfNoneMatch: true}); err != nil {
					wantKind(t, "write again", err, domain.KindConflict)
				}
				break
			}
		}
	}
}

// killOne starts a writing process and kills it when enough is acknowledged.
func (f *fixture) killOne(t *testing.T) (acknowledged map[string]bool, process int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerVariable+"="+f.where)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged = map[string]bool{}
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		acknowledged[strings.TrimSpace(line)] = true
		if len(acknowledged) == written {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(acknowledged) < written {
		t.Fatalf("the writers ended after %d objects: %v", len(acknowledged), err)
	}
	return acknowledged, cmd.Process.Pid
}

// whole checks that an object has all of its bytes, and that Stat describes them.
func (f *fixture) whole(t *testing.T, key string) {
	t.Helper()
	object, err := f.bucket.Get(t.Context(), key, objstore.GetOptions{})
	if err != nil {
		t.Error("get: ", err)
		return
	}
	defer closeBody(t, object)
	hash := crc32.NewIEEE()
	data, err := io.ReadAll(io.TeeReader(object.Body, hash))
	if err != nil || !bytes.Equal(bytes.TrimLeft(data, "."), contentOf(key)) || len(data) > 1<<20 && len(data) < minPart {
		t.Errorf("%s has %d bytes: %v", key, len(data), err)
	}
	if object.CRC32 != nil && *object.CRC32 != hash.Sum32() {
		t.Errorf("%s has another CRC-32", key)
	}
	if object.ContentType == "" || object.ETag == "" {
		t.Errorf("%s: %+v", key, object.Info)
	}
}
