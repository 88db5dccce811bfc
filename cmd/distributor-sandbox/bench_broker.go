package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"distributor-bridge/internal/broker"
)

// benchBroker is where a run's records are kept.
type benchBroker struct {
	addrs []string
	kind  string // in-process, apache or external
	kept  *child // nil: it is not ours
}

// stop ends the broker, if it is ours.
func (b *benchBroker) stop() {
	if b != nil && b.kept != nil {
		b.kept.stop()
	}
}

// sharedBroker gives the broker of all runs; nil if each has its own. One in memory would keep all that was ever written.
func (c *BenchCmd) sharedBroker(ctx context.Context, t terminal) (*benchBroker, error) {
	if env := t.env(broker.EnvBrokers); c.Libs == "" && env != "" {
		return &benchBroker{addrs: strings.Split(env, ","), kind: "external"}, nil
	}
	if c.Libs == "" {
		return nil, nil
	}
	libs, err := jars(c.Libs)
	if err != nil {
		return nil, err
	}
	return startBroker(ctx, t, "apache", "--libs", libs)
}

// ownBroker starts a broker in memory.
func ownBroker(ctx context.Context, t terminal) (*benchBroker, error) {
	return startBroker(ctx, t, "in-process")
}

func startBroker(ctx context.Context, t terminal, kind string, options ...string) (*benchBroker, error) {
	kept, hello, err := startChild(ctx, t, append([]string{"bench-broker"}, options...)...)
	if err != nil {
		return nil, err
	}
	return &benchBroker{addrs: hello.Addrs, kind: kind, kept: kept}, nil
}

// benchBrokerCmd is the broker's process.
type benchBrokerCmd struct {
	Libs string
}

// Run serves until the parent ends it.
func (c *benchBrokerCmd) Run(ctx context.Context, t terminal) error {
	ctx, cancel := obey(ctx, os.Stdin, func(string) {})
	defer cancel()
	dir, err := os.MkdirTemp("", "distributor-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the system's temporary folder
	b, err := c.start(ctx, dir)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := say(t.stdout, hello{Addrs: b.Addrs()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// brokerProcess is what a broker of either kind can do here.
type brokerProcess interface {
	Addrs() []string
	Close()
}

// start starts the broker; a real one keeps its data in dir.
func (c *benchBrokerCmd) start(ctx context.Context, dir string) (brokerProcess, error) {
	if c.Libs == "" {
		return broker.Start(broker.Config{})
	}
	libs, err := jars(c.Libs)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %s", startLimit))
	defer stop()
	return broker.Apache(ctx, broker.ApacheConfig{Libs: libs, Dir: dir})
}
