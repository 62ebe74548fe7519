package evidence

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"github.com/callvault/callvault/internal/catalog/merkle"
	"github.com/callvault/callvault/internal/domain"
)

// The kinds of findings.
const (
	FoundChanged    = "changed"    // a row is not what its leaf says
	FoundDropped    = "dropped"    // a row is gone
	FoundInserted   = "inserted"   // a row that was never queued
	FoundDoubled    = "doubled"    // such a row that says the same as another one
	FoundMoved      = "moved"      // a row that stands elsewhere
	FoundLost       = "lost"       // leaves whose rows the catalog lost when it was restored
	FoundTree       = "tree"       // hashes in catalog or bucket that do not belong together
	FoundCheckpoint = "checkpoint" // a checkpoint that is missing, not signed, or of another tree
	FoundLinks      = "links"      // links that are gone or changed
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind string `json:"kind"`
	Line int64  `json:"line,omitempty"` // seq of the audit line that it is about
	Leaf *int64 `json:"leaf,omitempty"` // number of the leaf that it is about
	Text string `json:"text"`           // a sentence
}

// VerifyOptions say what is compared beside catalog and bucket.
type VerifyOptions struct {
	Since    string // a signed checkpoint that somebody kept; "" for none
	Lost     int64  // leaves without a row that restores explain
	Progress func(done, total int64)
	// Objects bounds how many checkpoints are read from the bucket (5,000). They are spread over
	// the whole log, and the newest is always one of them. All checkpoints of the catalog are
	// compared.
	Objects int64
}

// Report is what Verify did.
type Report struct {
	Size        int64     `json:"leaves"`
	Waiting     int64     `json:"waiting"`     // rows that have no number yet
	Lost        int64     `json:"lost"`        // leaves whose rows the catalog lost when it was restored
	Checkpoint  int64     `json:"checkpoint"`  // the newest
	Checkpoints int64     `json:"checkpoints"` // compared in the catalog
	Objects     int64     `json:"objects"`     // checkpoints compared in the bucket
	Tiles       int64     `json:"tiles"`       // compared in the bucket
	Since       int64     `json:"since,omitempty"`
	Findings    []Finding `json:"findings"`
	More        int64     `json:"more"` // findings beyond those
}

const (
	// maxFindings bounds the findings that are kept.
	maxFindings = 1000
	// readers is how many objects of the bucket are read at once.
	readers = 8
)

// verifier recomputes the log once.
type verifier struct {
	opts   VerifyOptions
	log    *merkle.Log
	bucket Bucket
	folder string
	keys   Keys
	policy torchwood.Policy
	state  merkle.State
	reads  *errgroup.Group // of objects
	heads  heads

	lastLost int64    // number of the last leaf without a row
	cached   struct { // the last tile of leaves
		n    int64
		data []byte
	}

	mu     sync.Mutex
	report Report
	torn   []torn          // leaves that are not what their rows say
	stray  []merkle.Record // rows that are not where a leaf says
}

// torn is a leaf whose row is gone or changed.
type torn struct {
	merkle.Key
	hash tlog.Hash
	kind string // of the finding
}

// Verify recomputes the log from the rows of the catalog, and compares it with the hashes and
// checkpoints of catalog and bucket. It needs a bounded amount of memory. Its error says that it
// could not go on; what is wrong with the log stands in the report.
func Verify(ctx context.Context, log *merkle.Log, bucket Bucket, prefix string, keys Keys, opts VerifyOptions) (Report, error) {
	if opts.Progress == nil {
		opts.Progress = func(int64, int64) {}
	}
	if opts.Objects == 0 {
		opts.Objects = 5000
	}
	v := &verifier{opts: opts, log: log, bucket: bucket, folder: Folder(prefix, keys.Origin), keys: keys}
	var err error
	if v.policy, err = Policy(keys.Origin, keys.Verifiers); err != nil {
		return v.report, err
	}
	if v.state, err = log.State(ctx); err != nil {
		return v.report, err
	}
	v.report.Size, v.report.Checkpoint = v.state.Size, v.state.Checkpoint
	var reading context.Context
	v.reads, reading = errgroup.WithContext(ctx)
	v.reads.SetLimit(readers)
	for _, step := range []func(context.Context) error{v.end, v.since, v.leaves, v.rows, v.queue, v.links} {
		if err := step(reading); err != nil {
			if read := v.reads.Wait(); read != nil { // the cause
				err = read
			}
			return v.report, err
		}
	}
	if err := v.reads.Wait(); err != nil {
		return v.report, err
	}
	return v.report, v.name(ctx)
}

// found notes a finding about a line (0 for none) or a leaf (below 0 for none).
func (v *verifier) found(kind string, line, leaf int64, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.report.Findings) == maxFindings {
		v.report.More++
		return
	}
	f := Finding{Kind: kind, Line: line, Text: fmt.Sprintf(format, args...)}
	if leaf >= 0 {
		f.Leaf = &leaf
	}
	v.report.Findings = append(v.report.Findings, f)
}

// end looks whether bucket or catalog has checkpoints after the newest one.
func (v *verifier) end(ctx context.Context) error {
	more, err := v.log.Checkpoints(ctx, v.state.Checkpoint, 1)
	if err != nil {
		return err
	}
	_, err = read(ctx, v.bucket, v.folder+checkpointKey(v.state.Checkpoint+1))
	longer := err == nil
	if err != nil && domain.KindOf(err) != domain.KindNotFound {
		return err
	}
	now, err := v.log.State(ctx) // a sealer may be at work
	if err == nil && len(more) > 0 && more[0].N > now.Checkpoint {
		v.found(FoundCheckpoint, 0, -1, "the catalog has checkpoint %d, but its newest one is %d: it was inserted", more[0].N, now.Checkpoint)
	}
	if err == nil && longer && now.Checkpoint == v.state.Checkpoint {
		v.found(FoundCheckpoint, 0, -1, "the bucket has checkpoint %d, which the catalog lacks: it was restored from a backup, or newer rows were taken from it; "+
			"a running scheduler goes on from the bucket's log within a minute", now.Checkpoint+1)
	}
	return err
}

// rows finds lines and records that were inserted without trigger and queue, and seals that the
// catalog hides.
func (v *verifier) rows(ctx context.Context) error {
	for _, list := range []unknownRows{v.log.UnknownLines, v.log.UnknownRecords} {
		if err := v.unknown(ctx, list); err != nil {
			return err
		}
	}
	ids, err := v.log.HiddenSeals(ctx, maxFindings)
	for _, id := range ids {
		v.found(FoundDropped, 0, -1, "the seal %d is gone from its day", id)
	}
	return err
}

type unknownRows func(ctx context.Context, from int64, limit int) (merkle.Page, error)

func (v *verifier) unknown(ctx context.Context, list unknownRows) error {
	const limit = 20_000
	for from := int64(math.MinInt64); ; { // an inserted row may have any number
		page, err := list(ctx, from, limit)
		if err != nil || page.End {
			return err
		}
		for _, r := range page.Unknown {
			v.stray = addNamed(v.stray, r)
			v.found(FoundInserted, lineOf(r.Key), -1, "the %s %d was inserted: it is neither in the log nor waits for its number", r.Kind, r.Ref)
		}
		if page.Last == math.MaxInt64 {
			return nil
		}
		from = page.Last + 1
	}
}

// queue finds what was taken away before it had a number.
func (v *verifier) queue(ctx context.Context) (err error) {
	if v.report.Waiting, err = v.log.Waiting(ctx); err != nil {
		return err
	}
	keys, err := v.log.Orphans(ctx, maxFindings)
	for _, k := range keys {
		v.found(FoundDropped, lineOf(k), -1, "the %s %d is gone: it was taken away before it had a number in the log", k.Kind, k.Ref)
	}
	return err
}

// name tells more of findings, where it can: a changed or dropped line that stands under another
// number was moved, and an inserted line may double another one.
func (v *verifier) name(ctx context.Context) error {
	for _, of := range v.torn {
		if of.Kind != merkle.KindLine {
			continue
		}
		for _, r := range v.stray {
			if r.Ref == of.Ref || r.Line == nil {
				continue
			}
			as := *r.Line
			as.Seq = of.Ref
			if LeafHash(v.keys.Secret, merkle.Record{Line: &as}) == of.hash {
				v.rename(of.kind, of.Ref, FoundMoved, fmt.Sprintf("the line %d was moved: what it said stands in line %d now", of.Ref, r.Ref))
			}
		}
	}
	for _, r := range v.stray {
		if r.Line == nil {
			continue
		}
		seq, err := v.log.Same(ctx, *r.Line)
		if err != nil {
			return err
		}
		if seq > 0 {
			v.rename(FoundInserted, r.Ref, FoundDoubled, fmt.Sprintf("the line %d was inserted: it doubles line %d", r.Ref, seq))
		}
	}
	return nil
}

// rename tells more of a finding about a line.
func (v *verifier) rename(kind string, line int64, to, text string) {
	at := slices.IndexFunc(v.report.Findings, func(f Finding) bool { return f.Kind == kind && f.Line == line })
	if at >= 0 {
		v.report.Findings[at].Kind, v.report.Findings[at].Text = to, text
	}
}

// maxNamed bounds the rows that name compares with each other.
const maxNamed = 200

func addNamed[T any](list []T, one T) []T {
	if len(list) < maxNamed {
		list = append(list, one)
	}
	return list
}
