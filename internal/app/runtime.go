package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// Runtime is the file by which a standalone process tells other commands the addresses and
// credentials of its embedded parts. It is in the data directory; only its owner can read it.
type Runtime struct {
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	URL         string    `json:"url"` // of the API
	DatabaseURL string    `json:"databaseUrl"`
	RedisURL    string    `json:"redisUrl"`
	S3Endpoint  string    `json:"s3Endpoint,omitempty"` // none when the objects are in the data directory
	S3Region    string    `json:"s3Region,omitempty"`
	S3AccessKey string    `json:"s3AccessKey,omitempty"`
	S3SecretKey string    `json:"s3SecretKey,omitempty"`
	Recordings  string    `json:"recordingsBucket,omitempty"`
	Archives    string    `json:"archivesBucket,omitempty"`
	Prefix      string    `json:"archivesPrefix,omitempty"`
}

// String leaves the credentials out, so that no log shows them by mistake.
func (r Runtime) String() string { return fmt.Sprintf("callvault with pid %d at %s", r.PID, r.URL) }

func (r Runtime) GoString() string { return r.String() }

// Fill writes the process's addresses into p where p has none. With the object store's address it
// also takes the names of the buckets.
func (r Runtime) Fill(p *config.Parts) {
	p.DatabaseURL = cmp.Or(p.DatabaseURL, config.Secret(r.DatabaseURL))
	p.RedisURL = cmp.Or(p.RedisURL, config.Secret(r.RedisURL))
	if p.S3Endpoint == "" {
		p.S3Endpoint, p.S3Region = r.S3Endpoint, r.S3Region
		p.S3AccessKey, p.S3SecretKey = config.Secret(r.S3AccessKey), config.Secret(r.S3SecretKey)
		p.Recordings, p.Archives = cmp.Or(r.Recordings, p.Recordings), cmp.Or(r.Archives, p.Archives)
		p.Prefix = cmp.Or(r.Prefix, p.Prefix)
	}
}

// Publish writes r as the directory's runtime file, whole or not at all. It sets PID.
func (d *DataDir) Publish(r Runtime) error {
	r.PID = os.Getpid()
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the runtime file: %w", err)
	}
	// CreateTemp makes the file readable by its owner only.
	f, err := os.CreateTemp(d.path, ".run-*.json")
	if err != nil {
		return fmt.Errorf("write the runtime file: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, runtimeName))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the runtime file: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// readRuntime returns fs.ErrNotExist when there is no runtime file.
func readRuntime(abs string) (*Runtime, error) {
	path := filepath.Join(abs, runtimeName)
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("read the runtime file: %w", err)
	}
	var r Runtime
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, domain.Wrap(domain.KindUnavailable, err, "the runtime file %s cannot be read; restart the callvault that runs there", path)
	}
	return &r, nil
}
