package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// Env is a process's environment.
type Env map[string]string

// EnvOf reads what os.Environ returns.
func EnvOf(pairs []string) Env {
	env := make(Env, len(pairs))
	for _, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	return env
}

// Source fills the settings for one run of the program and collects their problems.
type Source struct {
	env      Env
	problems problems
}

// NewSource reads settings from env, and flags through Options.
func NewSource(env Env) *Source { return &Source{env: env, problems: problems{}} }

// Options let a kong parser read the settings and show their variables in help. A bad value does
// not end the parse: Finish reports it with all others.
func (s *Source) Options() []kong.Option {
	options := []kong.Option{
		kong.Resolvers(kong.ResolverFunc(s.resolve)),
		kong.ValueFormatter(helpText),
	}
	for name, read := range readers() {
		options = append(options, kong.NamedMapper(name, s.mapper(read)))
	}
	return options
}

// Complete adds to the flags of Parts the other settings, from variables and defaults.
func (s *Source) Complete(parts Parts) (Config, error) {
	var rest struct {
		Serving `embed:""`
		Work    `embed:""`
	}
	parser, err := kong.New(&rest, append(s.Options(), kong.Name("callvault"), kong.NoDefaultHelp())...)
	if err != nil {
		return Config{}, fmt.Errorf("build the settings: %w", err)
	}
	if _, err := parser.Parse(nil); err != nil {
		return Config{}, fmt.Errorf("read the settings: %w", err)
	}
	return Config{Parts: parts, Serving: rest.Serving, Work: rest.Work}, nil
}

// mapper reads one setting. Kong would stop at the first error, so it adds errors to s.problems.
func (s *Source) mapper(read reader) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("text", &text); err != nil {
			return fmt.Errorf("a value is missing: %w", err)
		}
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
		value, err := read(text, ctx.Value.Tag)
		if err != nil {
			s.problems.add(ctx.Value.Tag.Get("var"), err.Error())
			return nil
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}
}

// resolve returns the value of a flag's variable, when the flag was not given.
func (s *Source) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	name := flag.Tag.Get("var")
	if name == "" {
		return nil, nil // tells kong that there is no value
	}
	text := strings.TrimSpace(s.env[name])
	if flag.Target.Type() == reflect.TypeFor[Secret]() {
		text = s.secret(name, text)
	}
	if text == "" {
		return nil, nil // as above
	}
	return text, nil
}

// secret returns text, the value of a secret's variable, or the content of the secret's file.
func (s *Source) secret(name, text string) string {
	fileVar := name + "_FILE"
	path := strings.TrimSpace(s.env[fileVar])
	switch {
	case path == "":
		return text
	case text != "":
		s.problems.add(name, "set together with "+fileVar+"; set only one of the two")
		return text
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		s.problems.add(fileVar, fileProblem(path, err))
		s.problems[name] = "" // suppresses that it is missing
		return ""
	}
	if text = strings.TrimSpace(string(content)); text == "" {
		s.problems.add(fileVar, fmt.Sprintf("%s is empty; write the secret into it or unset the variable", path))
		s.problems[name] = ""
	}
	return text
}

func fileProblem(path string, err error) string {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Sprintf("%s cannot be read (%v); name a file that this user may read", path, err)
}

// helpText adds to a setting's help its variable and default.
func helpText(value *kong.Value) string {
	name := value.Tag.Get("var")
	if name == "" {
		return kong.DefaultHelpValueFormatter(value)
	}
	notes := "$" + name
	if value.IsBool() { // kong shows no placeholder
		notes += "; on or off"
	}
	shown := cmp.Or(value.Tag.Get("shown"), value.Default)
	if inside, only := strings.CutSuffix(shown, " in standalone"); only {
		notes += "; only standalone does without: " + inside
	} else if shown != "" {
		notes += "; default " + shown
	}
	return value.Help + " (" + notes + ")"
}
