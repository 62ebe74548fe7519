package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const pagePath = "../../docs/configuration.md"

// TestPage checks that the page of settings says what the code does.
func TestPage(t *testing.T) {
	want := settingsPage(t)
	if *update {
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what the settings say; write it afresh with: make config-page")
	}
}

const pageIntro = `<!-- Written by "make config-page" from internal/config; changes go there. -->

# Settings

Every setting is an environment variable and a flag: ` + "`CALLVAULT_LINK_TTL`" + ` is ` + "`--link-ttl`" + `. The flag outranks the variable, the
variable the default, and an empty variable counts as unset. A secret can also be read from the file that its variable with
` + "`_FILE`" + ` behind it names; then leave the variable itself unset.

Mistakes are found at the start, all at once. ` + "`callvault doctor`" + ` says whether what is set also works.

A role that is **bold** does not start without the setting. ` + "`standalone`" + ` is all three roles, and needs none of them: parts without an
address run inside it. Commands read what the parts need.

Times are written as 90s, 5m, 6h or 7d, sizes as 64MiB.
`

const pageEnd = `
## Of the tenant's client

` + "`callvault pull`" + ` talks to a callvault elsewhere and reads none of the above, only ` + "`CALLVAULT_URL`" + `, ` + "`CALLVAULT_CLIENT_ID`" + ` and
` + "`CALLVAULT_CLIENT_SECRET`" + ` (or ` + "`CALLVAULT_CLIENT_SECRET_FILE`" + `).
`

func settingsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(pageIntro)
	group := ""
	for _, v := range Variables() {
		if v.Group != group {
			group = v.Group
			fmt.Fprintf(&b, "\n## %s\n\n| setting | what it is | value | default | roles |\n|---|---|---|---|---|\n", group)
		}
		cells := []string{"`" + v.Name + "`<br>`" + v.Flag + "`", v.Description, valueCell(t, v), defaultCell(v), rolesCell(v)}
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(cell, "|", "\\|")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteString(pageEnd)
	return b.String()
}

// kinds are words for the type tags.
func kinds() map[string]string {
	return map[string]string{
		"text": "text", "secret": "secret", "longsecret": "secret", "choice": "one of", "switch": "on or off", "whole": "number", "size": "size",
		"duration": "time", "schedule": "cron line", "listen": "host:port", "bucket": "bucket name", "prefix": "names with slashes between", "endpoint": "URL without a path",
		"publicurl": "URL", "origins": "origins, commas between", "networks": "addresses or networks, commas between", "database": "secret URL", "redis": "secret URL",
	}
}

func valueCell(t *testing.T, v Variable) string {
	t.Helper()
	text := kinds()[v.Kind]
	if text == "" {
		t.Errorf("%s is of the kind %q, which has no words here", v.Name, v.Kind)
	}
	if v.Allowed != "" {
		join := ", "
		if v.Kind == "choice" {
			join = " "
		}
		text += join + v.Allowed
	}
	if v.Secret {
		text += "; or the file in `" + v.FileName + "`"
	}
	switch {
	case strings.Contains(v.Example, " "): // words, not a value
		text += "; " + v.Example
	case v.Example != "":
		text += "; `" + v.Example + "`"
	}
	return text
}

func defaultCell(v Variable) string {
	switch {
	case v.Default == "", v.Default == "none":
		return "none"
	case strings.Contains(v.Default, " ") && v.Kind != "schedule":
		return v.Default
	}
	return "`" + v.Default + "`"
}

func rolesCell(v Variable) string {
	need := map[string]bool{}
	for _, role := range v.Required {
		need[role] = true
	}
	roles := make([]string, len(v.Roles))
	for i, role := range v.Roles {
		if roles[i] = role; need[role] {
			roles[i] = "**" + role + "**"
		}
	}
	return strings.Join(roles, ", ")
}
