package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// member is a distributor-bridge as an operator runs it: its program with a configuration file, in a process of its own.
// It is used by one goroutine.
type member struct {
	name            string // its client ID, by which brokers tell it from the others
	program, config string
	vars            []string // variables that change the configuration, as a container has them
	log             string   // file that all its runs write their logs to
	environ         []string
	ops             string        // where it serves health; empty: nowhere
	grace           time.Duration // how long it may take to stop

	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process has ended
	err      error         // how; set before ended is closed
	expected bool          // that it ends
	took     time.Duration // to stop, when it was last asked to
}

// start starts a process; the one before it has ended.
func (m *member) start() error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(m.program, "run", "--config", m.config)
	cmd.Env = append(append(without(m.environ, envPrefix), m.vars...),
		envPrefix+"KAFKA_CLIENT_ID="+m.name, envPrefix+"OPS_LISTEN="+m.ops)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // Ctrl-C is for the parent, who ends it
		Pdeathsig: syscall.SIGKILL, // it does not outlive the parent, however that ends
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", m.program, err)
	}
	ended := make(chan struct{})
	m.cmd, m.ended, m.err, m.expected = cmd, ended, nil, false
	go func() { // ends with the process, which the trial sees to
		m.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

const (
	// envPrefix is what the names of the bridge's own variables begin with.
	envPrefix = "DISTRIBUTOR_"
	// memberLimit is how long a member may take to stop: more than rules.drain, which is the longest that anything may take.
	memberLimit = time.Minute
)

// stop ends the member as an operator does, and waits for it: with exit code 0.
func (m *member) stop(ctx context.Context) error {
	began := time.Now()
	m.signal(syscall.SIGTERM)
	limit := time.NewTimer(m.grace)
	defer limit.Stop()
	select {
	case <-m.ended:
		m.took = time.Since(began)
		if m.err != nil {
			return fmt.Errorf("%s was stopped, and ended with: %w", m.name, m.err)
		}
		return nil
	case <-limit.C:
		return fmt.Errorf("%s has not stopped within %s", m.name, m.grace)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill ends the member at once, also one that is frozen. One that has ended, or was never started, stays so.
func (m *member) kill() {
	if m.cmd == nil {
		return
	}
	m.signal(syscall.SIGKILL)
	<-m.ended
}

func (m *member) freeze() { _ = m.cmd.Process.Signal(syscall.SIGSTOP) } // an error only if it has ended, which trouble tells
func (m *member) thaw()   { _ = m.cmd.Process.Signal(syscall.SIGCONT) }

func (m *member) signal(sig syscall.Signal) {
	m.expected = true
	_ = m.cmd.Process.Signal(sig) // an error only if it has ended
}

// trouble is an error if the member has ended by itself.
func (m *member) trouble() error {
	select {
	case <-m.ended:
	default:
		return nil
	}
	if m.expected {
		return nil
	}
	if m.err != nil {
		return fmt.Errorf("%s has ended by itself: %w", m.name, m.err)
	}
	return fmt.Errorf("%s has ended by itself", m.name)
}

// lastLines gives the end of the member's log: what is no event's own line, which tell little, comes first.
func (m *member) lastLines(n int) string {
	raw, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	var all, telling []string
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		all = append(all, lines.Text())
		if !strings.Contains(lines.Text(), `"event_id"`) {
			telling = append(telling, lines.Text())
		}
	}
	last := func(lines []string) []string { return lines[max(0, len(lines)-n):] }
	return "  " + m.name + ":\n    " + strings.Join(append(last(telling), last(all)...), "\n    ")
}

// without gives the environment without the variables whose names begin so.
func without(environ []string, prefix string) []string {
	var left []string
	for _, v := range environ {
		if !strings.HasPrefix(v, prefix) {
			left = append(left, v)
		}
	}
	return left
}

// logLines is how much of each member's log a failure tells.
const logLines = 8

// withLogs adds the members' last log lines to an error.
func (r *trial) withLogs(err error) error {
	members := slices.Concat(r.left, r.members)
	if err == nil || len(members) == 0 {
		return err
	}
	tails := make([]string, len(members))
	for i, m := range members {
		tails[i] = m.lastLines(logLines)
	}
	return errors.New(err.Error() + "\nthe members' last log lines:\n" + strings.Join(tails, "\n"))
}
