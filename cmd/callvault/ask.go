package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
)

// canAsk says whether somebody can be asked: input and messages are a terminal's.
func (d *deps) canAsk() bool {
	in, isFile := d.stdin.(*os.File)
	return isFile && console.IsTerminal(in) && console.IsTerminal(d.stderr)
}

// ask asks a question. Everything but yes is no.
func (d *deps) ask(ctx context.Context, question string) (yes bool, err error) {
	if _, err := fmt.Fprintf(d.stderr, "%s [yes/no] ", question); err != nil {
		return false, err
	}
	answered := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(d.stdin).ReadString('\n') // an error is no answer, which is no
		answered <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case answer := <-answered:
		return answer == "yes" || answer == "y", nil
	case <-ctx.Done(): // the goroutine ends with the process
		return false, ctx.Err()
	}
}
