package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/callvault/callvault/internal/app"
)

// versionCmd prints the version, the revision of the sources, and the version of Go.
type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

type versionJSON struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the sources, when built in a checkout
	Modified bool   `json:"modified,omitempty"` // the checkout held uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (*versionCmd) Help() string {
	return "Examples:\n\n    callvault version\n    callvault version --json"
}

func (c *versionCmd) Run(d *deps) error {
	info := buildVersion()
	return d.show(c.JSON, info, info.text)
}

func (v versionJSON) text() string {
	line := "callvault " + v.Version
	if v.Revision != "" {
		line += " (" + v.Revision + ")"
	}
	return fmt.Sprintf("%s, %s, %s", line, v.Go, v.Platform)
}

func buildVersion() versionJSON {
	info := versionJSON{Version: app.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	return info
}
