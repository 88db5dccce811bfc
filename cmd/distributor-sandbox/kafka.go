package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"distributor-bridge/internal/broker"
)

// KafkaCmd is "distributor-sandbox kafka".
type KafkaCmd struct {
	Libs string   `required:"" placeholder:"DIR" help:"Folder with the jars of Apache Kafka; make test-kafka fetches them."`
	Dir  string   `placeholder:"DIR" help:"Folder for its settings, log and data; default: one that is removed at the end."`
	Cmd  []string `arg:"" optional:"" passthrough:"" placeholder:"CMD" help:"What to run. Without it the broker serves until SIGINT or SIGTERM."`
}

// Help is the rest of the command's help.
func (KafkaCmd) Help() string {
	return `Starts an Apache Kafka (KRaft, one node) as a child process on free ports of 127.0.0.1, runs CMD with its address in
KAFKA_BROKERS, stops the broker, and exits with CMD's exit code. It needs Java 17 or newer.

  distributor-sandbox kafka --libs build/kafka/libs -- go test ./...

Topics are not made by mere use.`
}

// startLimit is how long the broker may take until it answers.
const startLimit = time.Minute

// jars gives the folder of --libs, absolute: a broker has a working folder of its own.
func jars(libs string) (string, error) {
	dir, err := filepath.Abs(libs)
	if err != nil {
		return "", fmt.Errorf("--libs: %w", err)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "*.jar")); err != nil || len(found) == 0 {
		return "", fmt.Errorf("--libs: no jars in %s (make test-kafka fetches them)", libs)
	}
	return dir, nil
}

// Run starts the broker, and ends it in any case.
func (c *KafkaCmd) Run(ctx context.Context, t terminal) error {
	libs, err := jars(c.Libs)
	if err != nil {
		return err
	}
	dir, cleanup, err := c.folder()
	if err != nil {
		return err
	}
	defer cleanup()
	starting, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %s", startLimit))
	b, err := broker.Apache(starting, broker.ApacheConfig{Libs: libs, Dir: dir})
	cancel()
	if err != nil {
		return err
	}
	defer b.Close()
	brokers := strings.Join(b.Addrs(), ",")
	if len(c.command()) == 0 {
		if _, err := fmt.Fprintf(t.stdout, "%s=%s\nApache Kafka is running, its log is %s. Ctrl-C ends it.\n",
			broker.EnvBrokers, brokers, filepath.Join(dir, "broker.log")); err != nil {
			return fmt.Errorf("print the address: %w", err)
		}
		<-ctx.Done()
		return nil
	}
	return c.child(ctx, t, brokers)
}

// command is what follows --, which kong passes on with the rest.
func (c *KafkaCmd) command() []string {
	if len(c.Cmd) > 0 && c.Cmd[0] == "--" {
		return c.Cmd[1:]
	}
	return c.Cmd
}

func (c *KafkaCmd) folder() (dir string, cleanup func(), err error) {
	if c.Dir != "" {
		dir, err = filepath.Abs(c.Dir)
		return dir, func() {}, err
	}
	dir, err = os.MkdirTemp("", "distributor-kafka-")
	return dir, func() { _ = os.RemoveAll(dir) }, err // what cannot be removed is in the system's temporary folder
}

// child runs the command. Its exit code is ours; a signal to us is passed on, and the command has ten seconds to end.
func (c *KafkaCmd) child(ctx context.Context, t terminal, brokers string) error {
	argv := c.command()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(append([]string{}, t.environ...), broker.EnvBrokers+"="+brokers)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, t.stdout, t.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exitError(exit.ExitCode())
	case errors.As(err, &exit):
		return fmt.Errorf("run %s: %w", argv[0], err) // ended by a signal
	}
	return fmt.Errorf("run %s: %w", argv[0], err)
}
