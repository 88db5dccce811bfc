package main

import (
	"fmt"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

type configCommand struct {
	Print configPrintCommand `cmd:"" help:"Show the effective configuration, without secrets, and where each value comes from."`
}

type configPrintCommand struct {
	configured
	JSON bool `name:"json" help:"JSON for programs, a line for each key."`
}

// Help is what config print --help says more.
func (configPrintCommand) Help() string {
	return `Shows what holds, of the file, the environment and the defaults, as YAML that is a configuration again, and as a comment where
each value comes from: the file's line, a variable, or the default. Secrets are never shown: it is said whether one is set, and from
where. A configuration that is wrong is refused, as run does.

With --json: key, value (nothing for a secret), from; and secret, set for a secret.

Exit codes: 0 shown; 1 failed; 2 wrong use or wrong configuration.`
}

// settingLine is a key as JSON.
type settingLine struct {
	Key    string `json:"key"`
	Value  any    `json:"value,omitempty"`
	From   string `json:"from"`
	Secret bool   `json:"secret,omitempty"`
	Set    *bool  `json:"set,omitempty"`
}

// Run shows it.
func (c *configPrintCommand) Run(world surroundings) error {
	cfg := bridge.Default()
	origins, err := config.Read(&cfg, c.Config, world.environ, envPrefix)
	if err != nil {
		return usageError{err}
	}
	settings, err := config.Settings(&cfg, origins)
	if err != nil {
		return err
	}
	if c.JSON {
		values := make([]settingLine, len(settings))
		for i, s := range settings {
			values[i] = settingLine{Key: s.Key(), Value: s.Value, From: s.From, Secret: s.Secret}
			if s.Secret {
				values[i].Set = &s.Set
			}
		}
		return lines(world, values)
	}
	text, err := config.YAML(settings)
	if err != nil {
		return fmt.Errorf("show the configuration: %w", err)
	}
	_, err = world.stdout.Write(text)
	return err
}
