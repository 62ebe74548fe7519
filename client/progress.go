package client

// Progress receives the progress of a Pull. Several goroutines call its methods at once. File names
// are DAY/HH.zip.
type Progress interface {
	// Plan says how many files and bytes of a day will be downloaded.
	Plan(day string, files int, bytes int64)
	// Start says that a download begins at byte from: at 0, or where it is resumed.
	Start(file string, from, size int64)
	// Advance says that n more bytes have arrived.
	Advance(file string, n int64)
	// End says that a download has ended; err is nil when it is complete.
	End(file string, err error)
	// Note is a message for people, such as what the pull waits for and until when.
	Note(text string)
}

// noProgress ignores all progress.
type noProgress struct{}

func (noProgress) Plan(string, int, int64)    {}
func (noProgress) Start(string, int64, int64) {}
func (noProgress) Advance(string, int64)      {}
func (noProgress) End(string, error)          {}
func (noProgress) Note(string)                {}
