package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"distributor-bridge/internal/bridge"
)

// adminLimit is how long brokers may take for all of a command.
const adminLimit = time.Minute

type createCommand struct {
	configured
	Yes bool `help:"Create them without asking."`
}

// Help is what topics create --help says more.
func (createCommand) Help() string {
	return `Shows what exists and what would be created with which settings (section topics of the configuration), asks, and
creates it. Without a terminal it shows the plan, and creates nothing unless --yes is given.

Topics that exist are left as they are; one with another number of partitions than configured is an error, since it cannot be
mended. Upstream's topics are never created.`
}

// Run shows the plan, and carries it out if that is wanted.
func (c *createCommand) Run(ctx context.Context, world surroundings) error {
	cfg, err := c.loadDesk(world)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, adminLimit, errors.New("the brokers took too long"))
	defer cancel()
	plan, err := bridge.PlanTopics(ctx, cfg)
	if err != nil {
		return err
	}
	if err := plan.Write(world.stdout); err != nil {
		return fmt.Errorf("show the plan: %w", err)
	}
	switch {
	case len(plan.Differ) > 0:
		return errors.New("the number of partitions is fixed: configure what exists, or other names of topics")
	case len(plan.Create) == 0:
		fmt.Fprintln(world.stdout, "nothing to create")
		return nil
	case !c.Yes && !isTerminal(world.stdin):
		return usageError{errors.New("nothing was created: there is no terminal to ask on; give --yes to create the topics")}
	case !c.Yes && !confirmed(world):
		fmt.Fprintln(world.stdout, "nothing was created")
		return nil
	}
	return bridge.CreateTopics(ctx, cfg, world.stdout)
}

// confirmed asks on the terminal.
func confirmed(world surroundings) bool {
	fmt.Fprint(world.stdout, "Create these topics? [y/N] ")
	answer, err := bufio.NewReader(world.stdin).ReadString('\n')
	if err != nil {
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
