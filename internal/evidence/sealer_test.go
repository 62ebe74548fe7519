package evidence_test

import (
	"testing"

	"github.com/callvault/callvault/internal/evidence"
)

func TestSealAndVerify(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.lines(700)
		f.seal(evidence.Config{MaxLeaves: 300, Batch: 100})
		r := f.sound()
		if r.Size != 701 || r.Checkpoint != 3 || r.Checkpoints != 3 || r.Objects != 3 || r.Tiles != 2 || r.Waiting != 0 {
			f.Errorf("%+v", r)
		}
		f.seal(evidence.Config{})
		if again := f.sound(); again.Checkpoint != 3 {
			f.Errorf("a pass without new lines: %+v", again)
		}
		f.line(1)
		if r := f.sound(); r.Waiting != 1 {
			f.Errorf("%+v", r)
		}
		f.seal(evidence.Config{})
		if r := f.sound(); r.Size != 702 || r.Checkpoint != 4 {
			f.Errorf("%+v", r)
		}
	})
}
