package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/replay"
)

// Paragraphs are wrapped anew for the terminal.
const description = `Turns domain events on Kafka topics into calls of the Distributor API, one effect per event, and
publishes what became of them.

Configuration is a YAML file; each key can be given as an environment variable instead: kafka.brokers is
DISTRIBUTOR_KAFKA_BROKERS. deploy/config.example.yaml shows all keys.

Exit codes: 0 done; 1 failed; 2 wrong use or wrong configuration, nothing was begun; 3 there was nothing to do, and nothing was
written, or nothing is known of what was asked for; 4 an event is unfit, as it is (plan).`

// cli is the command line, as kong reads it.
type cli struct {
	Run     runCommand     `cmd:"" help:"Work on events until stopped."`
	Check   checkCommand   `cmd:"" help:"Look whether all that run needs is there and fits, and say how to mend what does not."`
	Config  configCommand  `cmd:"" help:"The configuration as it holds."`
	Topics  topicsCommand  `cmd:"" help:"The bridge's own topics."`
	Plan    planCommand    `cmd:"" help:"Show which calls, with which keys, an event would make."`
	Status  statusCommand  `cmd:"" help:"Show what became of a customer or an order, what it waits for, and what comes next."`
	Dead    deadCommand    `cmd:"" help:"Dead letters: events that were given up; list, show, and put back."`
	Held    heldCommand    `cmd:"" help:"What is held: events that cannot finish now; list, show, resolve, discard."`
	Resume  resumeCommand  `cmd:"" help:"Let events of a type go on that has paused, since too many were rejected."`
	Audit   auditCommand   `cmd:"" help:"Show which commands operators gave and what they put back: who, when, why."`
	Health  healthCommand  `cmd:"" help:"Ask a bridge on this machine whether it is ready, for a container's health check."`
	Version versionCommand `cmd:"" help:"Show version, commit and Go release."`
}

type topicsCommand struct {
	Create createCommand     `cmd:"" help:"Show which of the bridge's topics are missing, and create them."`
	List   topicsListCommand `cmd:"" help:"Show the bridge's topics and upstream's: how large they are, and what is still to be done of them."`
	Acls   aclsCommand       `cmd:"" name:"acls" help:"Show the least permissions that a user needs at the brokers."`
}

// surroundings are what a command may touch of the world, other than the network.
type surroundings struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

// usageError is wrong use or configuration: nothing was begun, and the same again will not help.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run is the program: it does what args say until that is done, or ctx ends.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var (
		commands cli
		helped   bool
	)
	parser, err := kong.New(&commands,
		kong.Name(program),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // kong has shown the help, and goes on
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100, NoExpandSubcommands: false}),
	)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	chosen, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return usageError{fmt.Errorf("%w; see %s --help", err, program)}
	}
	chosen.BindTo(ctx, (*context.Context)(nil))
	return chosen.Run(surroundings{environ, stdin, stdout, stderr})
}

// report tells an error to people, and gives the program's exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errTold) {
		return 1
	}
	if text := err.Error(); strings.Contains(text, "\n") {
		fmt.Fprintf(stderr, "%s:\n  %s\n", program, strings.ReplaceAll(text, "\n", "\n  "))
	} else {
		fmt.Fprintf(stderr, "%s: %s\n", program, text)
	}
	switch {
	case errors.As(err, new(usageError)):
		return 2
	case errors.Is(err, replay.ErrNothing), errors.As(err, new(notFoundError)):
		return 3
	case errors.As(err, new(unfitError)):
		return 4
	}
	return 1
}

const (
	program   = "distributor-bridge"
	envPrefix = "DISTRIBUTOR_"
)

// configured is embedded in commands that need the configuration.
type configured struct {
	Config string `required:"" placeholder:"FILE" help:"Configuration, YAML."`
}

func (c configured) load(world surroundings) (bridge.Config, error) { return c.without(world) }

// loadDesk is load for what operators do: it uses the brokers alone, so that who gives a command needs no secret of the API, nor
// the files of a member.
func (c configured) loadDesk(world surroundings) (bridge.Config, error) {
	return c.without(world, "api", "documents", "webhooks", "ops", "traces")
}

// without is load that minds no problem of these sections, which the command does not use. What they hold is as far as it is right.
func (c configured) without(world surroundings, sections ...string) (bridge.Config, error) {
	cfg := bridge.Default()
	if err := minded(config.Load(&cfg, c.Config, world.environ, envPrefix), sections); err != nil {
		return bridge.Config{}, usageError{err}
	}
	cfg.Version = buildInfo().Version
	return cfg, nil
}

// minded gives those of Load's problems that are not about these sections.
func minded(err error, sections []string) error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var left []error
	for _, e := range all.Unwrap() {
		var p config.Located
		if errors.As(e, &p) {
			if section, _, _ := strings.Cut(p.Key, "."); slices.Contains(sections, section) {
				continue
			}
		}
		left = append(left, e)
	}
	return errors.Join(left...)
}
