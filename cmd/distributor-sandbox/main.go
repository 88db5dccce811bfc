// Command distributor-sandbox is everything around the bridge that is not the bridge: the Distributor API as a sandbox,
// brokers that need no installation, sample events, and a demo that puts them together.
//
// It is for development and tests. It listens on 127.0.0.1 only, and nothing in it is linked into the bridge.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	os.Exit(exitCode(err, os.Stderr))
}

// cli are the commands.
type cli struct {
	Demo    DemoCmd    `cmd:"" help:"Watch the bridge at work: broker, API, bridge and sample events in one process."`
	Up      UpCmd      `cmd:"" help:"Keep a broker and the API running, to develop against."`
	API     APICmd     `cmd:"" name:"api" help:"Serve the Distributor API alone, as a sandbox."`
	Emit    EmitCmd    `cmd:"" help:"Send events: samples, a file of them, or a stream at a rate."`
	Results ResultsCmd `cmd:"" help:"Read results, and dead letters, from their topics: what became of the events."`
	Health  HealthCmd  `cmd:"" help:"Ask an API that runs on this machine whether it answers, for a container's health check."`
	Kafka   KafkaCmd   `cmd:"" name:"kafka" help:"Run a command against a real Apache Kafka that lives as long as the command."`

	benchCommands `embed:""`
	chaosCommands `embed:""`
}

const description = `The Distributor Bridge without anything around it: a broker, the Distributor API and sample events, all on this
machine (127.0.0.1).

Begin with "distributor-sandbox demo". Every command tells more with --help.`

// terminal is where a command writes.
type terminal struct {
	stdout, stderr io.Writer
	environ        []string
}

// env gives a variable of the environment; "" if it is not set.
func (t terminal) env(name string) string {
	for i := len(t.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(t.environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// run is the program. A first SIGINT or SIGTERM ends its context, a second one ends the process.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	defer func() { // kong exits for --help, wherever it finds it
		if r := recover(); r != nil {
			code, ok := r.(helped)
			if !ok {
				panic(r)
			}
			err = exitError(code)
		}
	}()
	parser, err := kong.New(&cli{},
		kong.Name("distributor-sandbox"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(helped(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(stdout, (*io.Writer)(nil)),
		kong.Bind(terminal{stdout, stderr, environ}),
	)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		return usageError{err}
	}
	return command.Run()
}

// helped is the panic by which kong's exit leaves the parser.
type helped int

// exitError ends the program with a code and without a word: all is said already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode tells the error, and gives the program's exit code: 0 done, 1 not done, 2 not understood, or a child's own.
func exitCode(err error, stderr io.Writer) int {
	var code exitError
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "distributor-sandbox: %v\n", err)
		return 2
	}
	fmt.Fprintf(stderr, "distributor-sandbox: %v\n", err)
	return 1
}
