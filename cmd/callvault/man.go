package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/callvault/callvault/internal/config"
)

// manCmd prints the manual page.
type manCmd struct{}

func (*manCmd) Help() string {
	return "Prints callvault(1), with all commands and settings.\n\nExamples:\n\n    callvault man | man -l -\n    callvault man > /usr/local/share/man/man1/callvault.1"
}

func (*manCmd) Run(ctx *kong.Context, d *deps) error {
	_, err := io.WriteString(d.stdout, manPage(ctx.Model))
	return err
}

// manPage writes the manual page with the macros of man(7). Settings stand once, and not with each
// command that takes them. mango-kong, whose only release is of 2022, knows no variables.
func manPage(app *kong.Application) string {
	var b strings.Builder
	b.WriteString(".TH CALLVAULT 1\n.SH NAME\ncallvault \\- recording archive for voice platforms\n" +
		".SH SYNOPSIS\n.B callvault\n.I command\n[\\fIflags\\fR]\n.SH DESCRIPTION\n")
	manText(&b, app.Help)
	b.WriteString(".SH COMMANDS\n")
	for _, command := range app.Leaves(true) {
		fmt.Fprintf(&b, ".SS %s\n", roff("callvault "+command.Summary()))
		manText(&b, command.Help+"\n\n"+command.Detail)
		for _, p := range command.Positional {
			manItem(&b, p.Summary(), p.Help)
		}
		for _, f := range command.Flags {
			if !isSetting(f) {
				manItem(&b, f.String(), f.Help)
			}
		}
	}
	b.WriteString(".SH ENVIRONMENT\nEvery setting is a flag, which outranks its variable.\n")
	for _, v := range config.Variables() {
		about := v.Description
		if v.Default != "" {
			about += " Default: " + v.Default + "."
		}
		if v.Secret {
			about += " Or the file that " + v.FileName + " names."
		}
		manItem(&b, v.Name+", "+v.Flag, about)
	}
	return b.String()
}

// manItem writes a term and what it is.
func manItem(b *strings.Builder, term, about string) {
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(term), roff(about))
}

// manText writes paragraphs, and lines that begin with four spaces as they are.
func manText(b *strings.Builder, text string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if !strings.HasPrefix(part, "    ") {
			b.WriteString(".PP\n" + roff(part) + "\n")
			continue
		}
		b.WriteString(".PP\n.RS 4\n.nf\n")
		for line := range strings.SplitSeq(part, "\n") {
			b.WriteString(roff(strings.TrimPrefix(line, "    ")) + "\n")
		}
		b.WriteString(".fi\n.RE\n")
	}
}

// roff escapes text. A dot that begins a line would be a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\n.", "\n"+`\&.`).Replace(text)
	if strings.HasPrefix(text, ".") {
		return `\&` + text
	}
	return text
}
