package verify

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	"github.com/callvault/callvault/internal/zipformat"
)

// tail is a file of which only the last bytes are read.
type tail struct {
	size int64
	last []byte
}

func (s tail) ReadAt(b []byte, at int64) (int, error) {
	if at -= s.size - int64(len(s.last)); at < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return bytes.NewReader(s.last).ReadAt(b, at)
}

// flips calls check with each bit of b flipped, and with b as it is.
func flips(b []byte, check func(changed bool, at int)) {
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			check(true, i)
			b[i] ^= 1 << bit
		}
	}
	check(false, 0)
}

// In an archive of more than 4 GiB, each flipped bit of the end records and of the central
// directory's headers is a problem, or changes a value that is compared with the bytes before.
func TestLargeArchives(t *testing.T) {
	const size = 3 << 32
	records := zipformat.End{Entries: 70_000, Offset: size, Size: 70_000 * 100}
	end := records.Append(nil)
	flips(end, func(changed bool, at int) {
		whole := tail{records.Offset + records.Size + int64(len(end)), end}
		v := &verifier{src: &source{ctx: t.Context(), r: whole, size: whole.size}}
		if v.findEnd(); v.report.OK() == changed {
			t.Errorf("end records, byte %d: problems %v", at, v.report.Problems)
		}
	})
	for _, e := range []zipformat.Entry{
		{File: "c/s/a", Size: size, Offset: 100, CRC: 1, Modified: time.Unix(1_700_000_000, 0)},
		{File: "c/s/a", Size: math.MaxUint32, Offset: size, CRC: 1, Modified: time.Unix(1<<33, 0)},
		{File: "c/s/é", Size: 5, Offset: size, CRC: 1, Modified: time.Unix(-5, 0)},
	} {
		central, local := e.AppendCentral(nil), e.AppendLocal(nil)
		read := func() (h header, ok bool) {
			v := &verifier{}
			d := &directory{in: bytes.NewReader(central)}
			if !d.next(&h) {
				return h, false
			}
			v.checkHeader(&h)
			return h, v.report.OK() && int(d.at) == len(central)
		}
		good, _ := read()
		flips(central, func(changed bool, at int) {
			h, ok := read()
			same := ok && string(h.name) == e.File && h.size == good.size && h.offset == good.offset && h.crc == good.crc && h.modified.Equal(good.modified)
			if same == changed {
				t.Errorf("central header of %v, byte %d", e, at)
			}
		})
		good, _ = read()
		flips(local, func(changed bool, at int) {
			if at >= 26 && at < localHeader {
				return // its length is read by these first
			}
			v := &verifier{}
			if v.compareLocal(&good, local); v.report.OK() == changed {
				t.Errorf("local header of %v, byte %d: problems %v", e, at, v.report.Problems)
			}
		})
	}
}

func TestRecordedTimes(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(-1<<40, 0), time.Unix(-1, 5), time.Unix(0, 0), time.Unix(1_700_000_000, 999_999_999), time.Unix(math.MaxInt32, 1),
		time.Unix(math.MaxInt32+1, 0), time.Unix(math.MaxInt32+2, 0), time.Date(2107, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		e := zipformat.Entry{File: "a", Modified: at}
		var h header
		central := e.AppendCentral(nil)
		if d := (&directory{in: bytes.NewReader(central)}); !d.next(&h) {
			t.Fatal(at)
		}
		if recorded := zipformat.Recorded(at); !h.modified.Equal(recorded) || !bytes.Equal(h.entry().AppendCentral(nil), central) {
			t.Errorf("%v: the header says %v, recorded %v", at, h.modified, recorded)
		}
	}
}
