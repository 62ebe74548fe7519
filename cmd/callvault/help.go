package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// helpFlags are the flags that every command has beside --help.
type helpFlags struct {
	HelpAll     helpAllFlag      `name:"help-all" help:"Show help with all settings and subcommands."`
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// helpAllFlag prints the help that nothing is left out of.
type helpAllFlag bool

// helpMode says how much the help shows.
type helpMode struct {
	all     bool
	printed bool // --help --help-all prints once
}

// BeforeReset runs before the parser asks for what a command requires.
func (helpAllFlag) BeforeReset(ctx *kong.Context, mode *helpMode) error {
	mode.all = true
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	ctx.Exit(exitOK)
	return nil
}

// isSetting says whether a flag has a variable that sets the same.
func isSetting(f *kong.Flag) bool { return f.Tag.Get("var") != "" }

// print prints help. Unless all of it is asked for, it leaves out the flags of settings, and names
// groups of commands instead of each command.
func (m *helpMode) print(o kong.HelpOptions, ctx *kong.Context) error {
	if m.printed {
		return nil
	}
	m.printed = true
	command, note := ctx.Selected(), ""
	switch {
	case m.all:
	case command == nil:
		o.NoExpandSubcommands = true
	default:
		note = foldSettings(command)
	}
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil || note == "" {
		return err
	}
	return printLine(ctx.Stdout, "\n"+note)
}

// foldSettings hides the flags of settings, and says where they are shown.
func foldSettings(command *kong.Node) string {
	folded := 0
	for _, flags := range command.AllFlags(true) {
		for _, f := range flags {
			if isSetting(f) {
				f.Hidden = true
				folded++
			}
		}
	}
	if folded == 0 {
		return ""
	}
	return fmt.Sprintf("%d settings are flags and variables too, such as --data and CALLVAULT_DATA:\n%s --help-all", folded, command.FullPath())
}
