package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a process of the benchmark: this program again, with a hidden command. It says on its standard output, in a line of
// JSON, where it can be reached, and ends when its standard input does: so it does not outlive its parent, however that
// ends.
type child struct {
	name   string
	cmd    *exec.Cmd
	orders io.WriteCloser // its standard input
	says   *bufio.Reader  // its standard output
	out    *os.File
	ended  chan struct{} // closed when it has ended
	err    error         // how; set before ended is closed
}

// hello is what a child says first.
type hello struct {
	Addrs []string `json:"addrs,omitempty"`
}

// childLimit is how long a child may take to end by itself.
const childLimit = 40 * time.Second

// startChild starts a child and waits until it says hello.
func startChild(ctx context.Context, t terminal, args ...string) (*child, hello, error) {
	var h hello
	program, err := os.Executable()
	if err != nil {
		return nil, h, fmt.Errorf("find this program: %w", err)
	}
	// Not CommandContext: children end in an order, when all that they serve has ended.
	cmd := exec.Command(program, args...)
	cmd.Args[0] = "distributor-sandbox"
	cmd.Env = t.environ
	cmd.Stderr = t.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the parent, who ends them
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, h, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, h, err
	}
	cmd.Stdout = in
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, h, fmt.Errorf("start %s: %w", args[0], err)
	}
	c := &child{name: args[0], cmd: cmd, orders: orders, says: bufio.NewReader(out), out: out, ended: make(chan struct{})}
	go func() { // ends with the process, which stop sees to
		c.err = cmd.Wait()
		close(c.ended)
	}()
	defer context.AfterFunc(ctx, func() { _ = orders.Close() })() // a child that never says hello
	if err := c.hear(&h); err != nil {
		c.stop()
		return nil, h, err
	}
	return c, h, nil
}

// ask sends an order and takes its answer.
func (c *child) ask(order string, answer any) error {
	_, _ = io.WriteString(c.orders, order+"\n") // one that cannot be sent has no answer
	return c.hear(answer)
}

func (c *child) hear(v any) error {
	line, err := c.says.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s says nothing: %w", c.name, errors.Join(err, c.trouble()))
	}
	return json.Unmarshal(line, v)
}

// trouble tells how the child has ended by itself; nil if it has not.
func (c *child) trouble() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s has ended: %w", c.name, cmp.Or(c.err, errors.New("nobody told it to")))
	case <-time.After(time.Second): // its output may end before it does
		return nil
	}
}

// stop ends the child and waits for it. A nil child has ended.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.orders.Close()
	late := time.AfterFunc(childLimit, func() { _ = c.cmd.Process.Kill() })
	<-c.ended
	late.Stop()
	_ = c.out.Close()
}

// obey runs in a child: it takes the parent's orders, one a line, until the parent closes the pipe or has ended. Then it
// ends the context that it gives.
func obey(ctx context.Context, orders io.Reader, do func(order string)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the pipe, or the process
		defer cancel()
		lines := bufio.NewScanner(orders)
		for lines.Scan() {
			do(strings.TrimSpace(lines.Text()))
		}
	}()
	return ctx, cancel
}

// say tells the parent something.
func say(out io.Writer, v any) error {
	if err := json.NewEncoder(out).Encode(v); err != nil {
		return fmt.Errorf("tell the parent: %w", err)
	}
	return nil
}
