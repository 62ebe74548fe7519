// Command callvault keeps the legal copy of what a voice platform's callers and agents said.
//
// It exits with 0 when all went well, 1 when the command failed, and 2 when it was called wrongly
// or its settings cannot be used. The first SIGINT or SIGTERM ends it in order, a second at once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/callvault/callvault/internal/config"
)

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default actions return, so that a second signal kills.
	context.AfterFunc(ctx, restore)
	// Without this SIGPIPE (callvault demo | head) would kill the process before it can clean up.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, config.EnvOf(os.Environ())))
}
