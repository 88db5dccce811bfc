package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/heap"
)

type runCommand struct {
	configured
}

// Help is what run --help says more.
func (runCommand) Help() string {
	return `Reads upstream's topics, calls the API and publishes results until SIGINT or SIGTERM. Then it lets the calls in
flight come to their end (rules.drain, 25s by default), commits and leaves its group; a second signal ends it at once, which
loses nothing either: what was not committed is done again, with the same keys.

Several members with the same configuration share the work.

At ops.listen (:9090 by default) it serves /livez, /readyz and /metrics.

The topics have to exist: see topics create. Logs go to standard error, as JSON, or readable on a terminal (log.format).`
}

// Run works until ctx ends.
func (c *runCommand) Run(ctx context.Context, world surroundings) error {
	cfg, err := c.load(world)
	if err != nil {
		return err
	}
	cfg.Log = logger(cfg.Logging, world.stderr)
	if !heap.Told(world.environ) {
		defer heap.Room(cfg.HeapRoom())()
	}
	cfg.Registry = prometheus.NewRegistry()
	cfg.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b, err := bridge.New(cfg)
	if err != nil {
		return err
	}
	cfg.Log.Info().Str("version", cfg.Version).Strs("brokers", cfg.Kafka.Brokers).Str("group", cfg.Group.Name).
		Strs("upstream", cfg.Topics.Upstream).Str("api", cfg.API.BaseURL+cfg.API.Prefix).Msg("started")
	said := make(chan struct{})
	unsaid := context.AfterFunc(ctx, func() {
		defer close(said)
		cfg.Log.Info().Stringer("at_most", cfg.Rules.Drain).
			Msg("stopping: calls in flight come to their end; a second signal ends at once")
	})
	err = b.Run(ctx)
	if !unsaid() {
		<-said // a bridge with nothing in hand ends sooner than that is written: the lines keep their order
	}
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	cfg.Log.Info().Msg("stopped")
	return nil
}

// logger gives the log that the configuration asks for.
func logger(cfg bridge.Logging, out io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
	if cfg.Format == "console" || cfg.Format == "auto" && isTerminal(out) {
		out = terminal(out)
	}
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil { // Validate has seen to it
		level = zerolog.InfoLevel
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
