package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker: -X main.version=v1.2.3 -X main.commit=0123abc. Else the build's own information counts.
var version, commit string

type build struct {
	Version string `json:"version"` // "dev" if it is no release
	Commit  string `json:"commit"`  // empty if it is not known; with "+changes" if files were not committed
	Go      string `json:"go"`
}

func buildInfo() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	if ok && b.Commit == "" {
		b.Commit = vcsCommit(info.Settings)
	}
	return b
}

func vcsCommit(settings []debug.BuildSetting) (revision string) {
	changes := ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changes = "+changes"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changes
}

type versionCommand struct {
	JSON bool `name:"json" help:"As one line of JSON: version, commit, go."`
}

// Run shows what this program was built from.
func (c *versionCommand) Run(world surroundings) error {
	b := buildInfo()
	if c.JSON {
		return json.NewEncoder(world.stdout).Encode(b)
	}
	if b.Commit != "" {
		b.Version += " (commit " + b.Commit + ")"
	}
	_, err := fmt.Fprintf(world.stdout, "%s %s, %s\n", program, b.Version, b.Go)
	return err
}
