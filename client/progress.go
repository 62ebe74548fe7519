package client

// Progress is told how far a Pull is. Its methods may be called by several
// goroutines at once. File names are DAY/HH.zip.
type Progress interface {
	// Plan says what is to come of a day: so many files with so many bytes.
	Plan(day string, files int, bytes int64)
	// Start says that a download begins, goes on at byte from, or starts over at byte 0.
	Start(file string, from, size int64)
	// Advance says that n more bytes came.
	Advance(file string, n int64)
	// End says that a download is over for now; err says why it is not done.
	End(file string, err error)
	// Note is a sentence for people: what is waited for and until when.
	Note(text string)
}

// silent is the Progress of nobody.
type silent struct{}

func (silent) Plan(string, int, int64)    {}
func (silent) Start(string, int64, int64) {}
func (silent) Advance(string, int64)      {}
func (silent) End(string, error)          {}
func (silent) Note(string)                {}
