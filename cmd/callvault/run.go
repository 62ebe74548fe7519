package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
	"github.com/callvault/callvault/internal/config"
	"github.com/callvault/callvault/internal/domain"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const about = `Keeps the legal copy of what a voice platform's callers and agents said.

Exit codes: 0 done, 1 failed, 2 wrong use or settings.`

// commands is the tree of commands. The type of each is in the file of its name.
type commands struct {
	Demo       demoCmd       `cmd:"" help:"Show everything on a sample tenant, with real clips; needs nothing else."`
	Standalone standaloneCmd `cmd:"" help:"Run all roles in one process, with embedded parts."`
	API        apiCmd        `cmd:"" name:"api" help:"Run the API."`
	Worker     workerCmd     `cmd:"" help:"Run a worker: builds archives, sweeps."`
	Scheduler  schedulerCmd  `cmd:"" help:"Run a scheduler: plans, hands out hours."`
	Run        runCmd        `cmd:"" help:"Run several roles in one process."`
	Migrate    migrateCmd    `cmd:"" help:"Prepare the catalog, the buckets and the keys."`
	Tenant     tenantCmd     `cmd:"" help:"Tenants: create, list, set, close, delete."`
	App        appCmd        `cmd:"" help:"OAuth applications of a tenant."`
	Key        keyCmd        `cmd:"" help:"API keys of a tenant."`
	Webhook    webhookCmd    `cmd:"" help:"Webhooks of a tenant: endpoints, deliveries, replay."`
	Import     importCmd     `cmd:"" help:"Take lines and audio in from files."`
	Archive    archiveCmd    `cmd:"" help:"Plan a tenant's day now."`
	Hold       holdCmd       `cmd:"" help:"Legal holds: create, list, release."`
	Erase      eraseCmd      `cmd:"" help:"Erase conversations in every copy, with a proof."`
	Recording  recordingCmd  `cmd:"" help:"Recordings: correct what was registered wrongly."`
	Total      totalCmd      `cmd:"" help:"Control totals of days and hours: correct or remove them."`
	Keys       keysCmd       `cmd:"" help:"Signing keys and the master key: rotate, reseal."`
	Audit      auditCmd      `cmd:"" help:"Print a tenant's audit log."`
	Log        logCmd        `cmd:"" help:"The log that shows whether an audit line was changed or taken away: keys, verify."`
	Evidence   evidenceCmd   `cmd:"" help:"Make an evidence pack of a tenant's days, which is checked without a server."`
	Pull       pullCmd       `cmd:"" help:"Fetch a tenant's archives into a directory, and check them."`
	Doctor     doctorCmd     `cmd:"" help:"Reach every part and say what is wrong, and what to do."`
	Ready      readyCmd      `cmd:"" help:"Ask the role that runs here whether it is ready."`
	Verify     verifyCmd     `cmd:"" help:"Check downloaded archives: structure, checksums, metadata."`
	Completion completionCmd `cmd:"" help:"Print the completion of commands for bash, zsh or fish."`
	Complete   completeCmd   `cmd:"" hidden:"" help:"Print what completes a command."`
	Man        manCmd        `cmd:"" help:"Print the manual page."`
	Version    versionCmd    `cmd:"" help:"Print the version."`

	helpFlags `embed:""`
}

// deps is what every command's Run gets beside the context.
type deps struct {
	stdin  io.Reader
	stdout io.Writer // results
	stderr io.Writer // progress, logs, errors
	env    config.Env
	// settings finishes the config.Config or config.Parts that a command embeds.
	settings *config.Source
}

// reportedError ends a command that has already printed what is wrong, with an exit code.
type reportedError struct{ code int }

func (e *reportedError) Error() string { return fmt.Sprintf("already reported, exit %d", e.code) }

var errReported error = &reportedError{exitFailed}

// usageError is wrong use of a command that the parser cannot find: exit 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// run is the program: it parses args, runs one command and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env config.Env) int {
	d := &deps{stdin: stdin, stdout: stdout, stderr: stderr, env: env, settings: config.NewSource(env)}
	var tree commands
	var mode helpMode
	helped := false
	options := append(append(d.settings.Options(), wholeNumbers()...),
		kong.Name("callvault"),
		kong.Description(about),
		kong.Writers(stdout, stderr),
		names(),
		durations(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Help(mode.print),
		kong.Bind(&mode),
		kong.Vars{"version": buildVersion().text()}, // of kong.VersionFlag
		kong.Exit(func(int) { helped = true }),      // --help, --help-all and --version ask for it
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(d),
	)
	parser, err := kong.New(&tree, options...)
	if err != nil {
		return d.report(fmt.Errorf("build the commands: %w", err))
	}
	chosen, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		return d.report(&usageError{usageText(err)})
	}
	return d.report(chosen.Run())
}

// names are the lists of names that help texts and enums of flags refer to.
func names() kong.Vars {
	var features []string
	for _, s := range domain.Settings() {
		if domain.IsFeature(s.Name) {
			features = append(features, s.Name)
		}
	}
	return kong.Vars{"features": strings.Join(features, ", "), "events": strings.Join(domain.EventTypes(), ", ")}
}

// wholeNumbers makes the parser read numbers as decimal. By default it reads 010 as eight, and
// refuses 09.
func wholeNumbers() []kong.Option {
	read := kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue("int")
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(token.String(), 10, target.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no whole number", token.String())
		}
		target.SetInt(n)
		return nil
	})
	return []kong.Option{kong.KindMapper(reflect.Int, read), kong.KindMapper(reflect.Int64, read)}
}

// durations makes the parser read times as settings are written: with days too.
func durations() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue("duration")
		if err != nil {
			return err
		}
		d, err := config.ParseDuration(token.String())
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 90s, 6h or 7d", token.String())
		}
		target.SetInt(int64(d))
		return nil
	}))
}

// usageText adds the command for help to the parser's message.
func usageText(err error) string {
	help := "callvault --help"
	text := err.Error()
	// The parser has taken a negative number for a flag.
	negative := regexp.MustCompile(`^(--[a-z-]+): expected int value but got "(-[0-9]+)" \(short flag\)`)
	if m := negative.FindStringSubmatch(text); m != nil {
		text = m[1] + " is negative (" + m[2] + "); use a whole number of 0 or more"
	}
	text = strings.Replace(text, `expected string value but got "EOL" (<EOL>)`, "a value is missing", 1)
	text = strings.Replace(text, `must be one of "",`, "must be one of ", 1) // "" is a flag that is not given
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context.Selected() != nil {
		help = parse.Context.Selected().FullPath() + " --help"
	}
	return fmt.Sprintf("%s\nSee %s", text, help)
}

// report prints the error to stderr and returns the exit code.
func (d *deps) report(err error) int {
	var settings *config.Error
	var usage *usageError
	var reported *reportedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &reported):
		return reported.code
	case errors.As(err, &settings):
		d.printError("these settings cannot be used:\n  " + strings.ReplaceAll(settings.Error(), "\n", "\n  "))
		return exitUsage
	case errors.As(err, &usage):
		d.printError(usage.text)
		return exitUsage
	case errors.Is(err, syscall.EPIPE):
		d.printError("ended, since nobody reads the output any more")
		return exitFailed
	case errors.Is(err, context.Canceled):
		d.printError("interrupted; run the command again to go on")
		return exitFailed
	}
	text := err.Error()
	// Advice stands behind a semicolon.
	if domain.KindOf(err) == domain.KindUnavailable && !strings.Contains(domain.SafeMessage(err), "; ") {
		text += "\nTo learn more, run: callvault doctor"
	}
	d.printError(text)
	return exitFailed
}

// printError prints a message without control characters. It prints a line once: joined errors may
// repeat one.
func (d *deps) printError(text string) {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = console.Clean(strings.ReplaceAll(line, "\t", "    ")) // drivers indent causes
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	_, _ = fmt.Fprintln(d.stderr, "callvault: "+strings.Join(lines, "\n")) // an error here can't be shown
}
