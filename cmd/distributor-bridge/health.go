package main

import (
	"context"

	"distributor-bridge/internal/probe"
)

type healthCommand struct {
	URL string `name:"url" default:"http://127.0.0.1:9090/readyz" help:"What to ask: ops.listen with /readyz or /livez; default: ${default}."`
}

// Help is what health --help says more.
func (healthCommand) Help() string {
	return `For a container's health check, where there is no shell and no curl: asks the bridge that runs beside it, and ends with 0 if
it is well. It reads no configuration. In Kubernetes use probes instead.`
}

// Run asks once.
func (c *healthCommand) Run(ctx context.Context, _ surroundings) error {
	return probe.Ask(ctx, c.URL)
}
