package archiver

import (
	"errors"
	"fmt"
)

// Errors that a Source returns.
var (
	// ErrVanished says that the object does not exist.
	ErrVanished = errors.New("object does not exist")
	// ErrChanged says that the object is another version than the one that was asked for.
	ErrChanged = errors.New("object has changed")
	// ErrUnreadable says that the object exists, but that its bytes can't be read.
	ErrUnreadable = errors.New("object can't be read")
	// ErrRefused says that a retry can't help: the source will never do what it was asked for.
	ErrRefused = errors.New("source refuses")
)

// Errors that Build returns, to be compared with errors.Is.
var (
	// ErrEmpty says that there was no entry to archive.
	ErrEmpty = errors.New("no recordings to archive")
	// ErrInvalid says that an entry or the hour can't be archived as given.
	ErrInvalid = errors.New("invalid archive input")
	// ErrTooLarge says that the ZIP would be larger than Config.MaxSize.
	ErrTooLarge = errors.New("archive is larger than allowed")
	// ErrAllMissing says that no recording was left; see AllMissingError.
	ErrAllMissing = errors.New("every recording is missing")
	// ErrUnstable says that sources kept changing through all restarts.
	ErrUnstable = errors.New("recordings keep changing")
	// ErrStalled says that there was no progress for Config.Idle.
	ErrStalled = errors.New("no progress")
)

// AllMissingError lists why nothing could be archived. It is ErrAllMissing.
type AllMissingError struct {
	Missing []Missing
}

// Error counts the missing recordings.
func (e *AllMissingError) Error() string {
	return fmt.Sprintf("%v (%d)", ErrAllMissing, len(e.Missing))
}

// Is makes errors.Is(err, ErrAllMissing) true.
func (e *AllMissingError) Is(target error) bool { return target == ErrAllMissing }

// What can go wrong with one read, inside the package.
var (
	errMissing     = errors.New("a recording is missing")
	errSize        = errors.New("object has another size")
	errShort       = errors.New("body ended early")
	errBodyStalled = errors.New("body stalled")
	errBody        = errors.New("source broke the reader contract")
)
