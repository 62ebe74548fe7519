package config

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// Variable describes one setting.
type Variable struct {
	Name        string   // CALLVAULT_…
	FileName    string   // CALLVAULT_…_FILE of a secret, else ""
	Flag        string   // --…
	Kind        string   // of its values: the type tag
	Group       string   // heading in help and documentation
	Default     string   // as text; "" for none
	Description string   // one sentence
	Example     string   // "" for none
	Allowed     string   // bounds or choices as text; "" for any
	Roles       []string // roles that read it
	Required    []string // roles that do not start without it
	Secret      bool
}

// Variables lists every setting in the order of Config.
func Variables() []Variable {
	var list []Variable
	c := reflect.ValueOf(Config{})
	for i := range c.NumField() {
		group := strings.TrimSuffix(c.Type().Field(i).Tag.Get("group"), ":")
		eachField(c.Field(i), func(f reflect.StructField, _ reflect.Value) {
			v := describe(f)
			v.Group = group
			list = append(list, v)
		})
	}
	return list
}

func describe(f reflect.StructField) Variable {
	v := Variable{
		Name:        f.Tag.Get("var"),
		Kind:        f.Tag.Get("type"),
		Default:     cmp.Or(f.Tag.Get("shown"), f.Tag.Get("default")),
		Description: f.Tag.Get("help"),
		Example:     f.Tag.Get("eg"),
		Roles:       strings.Fields(f.Tag.Get("roles")),
		Required:    strings.Fields(f.Tag.Get("need")),
		Secret:      f.Type == reflect.TypeFor[Secret](),
	}
	v.Flag = "--" + strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(v.Name, "CALLVAULT_")), "_", "-")
	if v.Secret {
		v.FileName = v.Name + "_FILE"
	}
	switch {
	case f.Tag.Get("oneof") != "":
		v.Allowed = strings.Join(strings.Fields(f.Tag.Get("oneof")), ", ")
	case f.Tag.Get("min") != "":
		v.Allowed = f.Tag.Get("min") + " to " + f.Tag.Get("max")
	}
	return v
}

// Unknown lists, sorted, the CALLVAULT_ variables of env that are neither settings nor read by the
// command pull. Most are misspelt.
func Unknown(env Env) []string {
	known := map[string]bool{"CALLVAULT_URL": true, "CALLVAULT_CLIENT_ID": true, "CALLVAULT_CLIENT_SECRET": true, "CALLVAULT_CLIENT_SECRET_FILE": true}
	for _, v := range Variables() {
		known[v.Name] = true
		if v.Secret {
			known[v.FileName] = true
		}
	}
	var unknown []string
	for name := range env {
		if strings.HasPrefix(name, "CALLVAULT_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// eachField visits the settings of v and of its embedded structs.
func eachField(v reflect.Value, visit func(reflect.StructField, reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			eachField(v.Field(i), visit)
			continue
		}
		visit(f, v.Field(i))
	}
}
