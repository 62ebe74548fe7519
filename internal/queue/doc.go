// Package queue hands hours to workers through Redis, by asynq.
//
// A task says which hour may be due and nothing else. The catalog decides what is done, so a task
// can be lost, run twice or come late without harm. A loss of all of Redis is recognised by the
// epoch, a random value that is kept in Redis only: dispatches of another epoch count as gone.
//
// The package does not decide what is due, and it does not build. A task's number of retries says
// nothing about an hour's failures, which the catalog counts.
package queue
