package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/callvault/callvault/internal/domain"
)

// Recorded marks a failure that the catalog has counted. The catalog decides when the hour is
// tried again, so asynq does not retry the task.
func Recorded(err error) error { return recordedError{err} }

type recordedError struct{ error }

func (r recordedError) Unwrap() error { return r.error }

// asynqError translates a handler's error into one that tells asynq what to do with the task:
//
//	nil, lost, not found   completed: nothing is left to do
//	recorded by the catalog archived, so that the dashboard shows it; its hour gets a new task
//	interrupted            removed: the hour is due and gets a new task
//	invalid                archived: a retry can't help
//	everything else        retried: the catalog could not be asked
//
// Redis gets only the message that is safe to show. It gets no message of a build whose failure is
// recorded: that may name audio that is erased later, and an erasure does not reach Redis.
func asynqError(err error) error {
	if err == nil {
		return nil
	}
	var recorded recordedError
	if errors.As(err, &recorded) {
		return fmt.Errorf("the build failed (%s); the hour's page in the console says why: %w", domain.KindOf(err), asynq.SkipRetry)
	}
	message := domain.SafeMessage(err)
	switch domain.KindOf(err) {
	case domain.KindLost, domain.KindNotFound, domain.KindExpired:
		return nil
	case domain.KindInterrupted:
		return fmt.Errorf("%s: %w", message, asynq.RevokeTask)
	case domain.KindInvalid:
		return fmt.Errorf("%s: %w", message, asynq.SkipRetry)
	}
	return errors.New(message)
}

// retryDelay is the wait before a task is retried because the catalog could not be asked: 2 s at
// first, half a minute at most.
func retryDelay(retried int, _ error, _ *asynq.Task) time.Duration {
	return min(2*time.Second<<min(retried, 10), 30*time.Second)
}
