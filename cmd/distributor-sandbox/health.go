package main

import (
	"context"

	"distributor-bridge/internal/probe"
)

// HealthCmd is "distributor-sandbox health": a container's health check, where there is no shell.
type HealthCmd struct {
	URL string `name:"url" default:"http://127.0.0.1:8080/sandbox/stats" help:"What to ask; default: ${default}."`
}

// Run asks once.
func (c *HealthCmd) Run(ctx context.Context) error { return probe.Ask(ctx, c.URL) }
