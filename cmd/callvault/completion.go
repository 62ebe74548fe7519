package main

import (
	_ "embed"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/callvault/callvault/cmd/callvault/internal/console"
)

//go:embed completion/callvault.bash
var bashCompletion string

//go:embed completion/callvault.zsh
var zshCompletion string

//go:embed completion/callvault.fish
var fishCompletion string

// completionCmd prints what makes a shell complete commands and flags. The libraries for kong,
// kongplete and kong-completion, rest on posener/complete v1 of 2019, which shows no help.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (*completionCmd) Help() string {
	return `Prints a script for the shell, which asks callvault for what fits when Tab is pressed. For the running shell:

    bash: source <(callvault completion bash)
    zsh: source <(callvault completion zsh)
    fish: callvault completion fish | source

For every shell write it to a file, once, in a directory that you may have to make:

Examples:

    callvault completion bash > ~/.local/share/bash-completion/completions/callvault
    callvault completion zsh > /usr/local/share/zsh/site-functions/_callvault
    callvault completion fish > ~/.config/fish/completions/callvault.fish`
}

func (c *completionCmd) Run(d *deps) error {
	script := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := io.WriteString(d.stdout, script)
	return err
}

// completeCmd is what the scripts call. It prints what may stand in place of the last word: one on
// each line, followed by a tab and its help.
type completeCmd struct {
	Words []string `arg:"" optional:"" help:"The words behind callvault, up to the cursor."`
}

func (*completeCmd) Help() string {
	return "The scripts of callvault completion call it.\n\nExamples:\n\n    callvault complete -- tenant cr"
}

func (c *completeCmd) Run(ctx *kong.Context, d *deps) error {
	for _, found := range complete(ctx.Model.Node, c.Words) {
		if err := printLine(d.stdout, console.Clean(found[0])+"\t"+console.Clean(found[1])); err != nil {
			return err
		}
	}
	return nil
}

// complete lists what may stand in place of the last of words, with its help. It lists nothing
// where a file or any text may stand: shells offer names of files then.
func complete(node *kong.Node, words []string) (found [][2]string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	var wants *kong.Flag // its value is next
	arguments := 0
	for _, word := range words[:len(words)-1] {
		switch {
		case wants != nil:
			wants = nil
		case strings.HasPrefix(word, "--"):
			flags := flagsOf(node)
			i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return "--"+f.Name == word && takesValue(f) })
			if i >= 0 { // else it is a switch, or its value is behind a =
				wants = flags[i]
			}
		case childOf(node, word) != nil:
			node = childOf(node, word)
		default:
			arguments++
		}
	}
	add := func(text, help string) {
		if text != "" && strings.HasPrefix(text, last) { // "" is how kong lists what takes any value
			found = append(found, [2]string{text, help})
		}
	}
	switch {
	case wants != nil:
		for _, value := range valuesOf(wants) {
			add(value, "")
		}
	case strings.HasPrefix(last, "-"):
		for _, f := range flagsOf(node) {
			add("--"+f.Name, f.Help)
		}
	case arguments < len(node.Positional):
		for _, value := range node.Positional[arguments].EnumSlice() {
			add(value, "")
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				add(child.Name, child.Help)
			}
		}
	}
	return found
}

func childOf(node *kong.Node, name string) *kong.Node {
	if i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == name }); i >= 0 {
		return node.Children[i]
	}
	return nil
}

// flagsOf lists the command's flags, then those of the commands above it.
func flagsOf(node *kong.Node) []*kong.Flag {
	groups := node.AllFlags(true)
	slices.Reverse(groups)
	return slices.Concat(groups...)
}

func takesValue(f *kong.Flag) bool { return !f.IsBool() || f.Tag.Type == "switch" }

// valuesOf lists the values of a flag; none where it takes any.
func valuesOf(f *kong.Flag) []string {
	switch {
	case f.Tag.Type == "switch":
		return []string{"on", "off"}
	case f.Tag.Get("oneof") != "":
		return strings.Fields(f.Tag.Get("oneof"))
	case f.Enum != "":
		return f.EnumSlice()
	case f.Name == "day" || f.Name == "from" || f.Name == "to":
		return []string{"yesterday", "today"}
	}
	return nil
}
