package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"distributor-bridge/internal/bridge"
)

type aclsCommand struct {
	configured
	For  []string `default:"run" enum:"run,check,operate,create" help:"What the user does: run, check, operate (dead, held, status, audit, resume), create (topics create); several with commas."`
	User string   `placeholder:"NAME" help:"The user; a certificate's is its name as brokers see it, such as CN=bridge. Default: kafka.sasl.user."`
	JSON bool     `help:"For programs: {user, acls: [{operation, resource, name, prefixed, for}]}."`
}

// Help is what topics acls --help says more.
func (aclsCommand) Help() string {
	return `Prints the commands of Kafka's own tools that give a user the permissions it needs with this configuration, and no more. It
connects to nothing.

  distributor-bridge topics acls --config config.yaml --for run,check > acls.sh
  BROKERS=broker:9093 ADMIN=admin.properties sh -e acls.sh`
}

// connecting begins each command: where the brokers are, and who may give permissions, is in the shell's environment.
const connecting = `kafka-acls.sh --bootstrap-server "$BROKERS" --command-config "$ADMIN"`

// Run prints the permissions.
func (c *aclsCommand) Run(_ context.Context, world surroundings) error {
	cfg, err := c.loadDesk(world)
	if err != nil {
		return err
	}
	user := c.User
	if user == "" {
		user = cfg.Kafka.SASL.User
	}
	if user == "" {
		return usageError{errors.New("nobody knows whom to permit it: give --user, or kafka.sasl.user")}
	}
	var list []bridge.ACL
	for _, role := range c.For {
		for _, a := range bridge.ACLs(cfg, bridge.Role(role)) {
			same := func(b bridge.ACL) bool { b.For = a.For; return a == b }
			if !slices.ContainsFunc(list, same) {
				list = append(list, a)
			}
		}
	}
	if c.JSON {
		return json.NewEncoder(world.stdout).Encode(struct {
			User string       `json:"user"`
			ACLs []bridge.ACL `json:"acls"`
		}{user, list})
	}
	for _, a := range list {
		command := strings.Replace(a.AddACL("User:"+user), "kafka-acls.sh", connecting, 1)
		if _, err := fmt.Fprintf(world.stdout, "# %s\n%s\n", a.For, command); err != nil {
			return fmt.Errorf("show the permissions: %w", err)
		}
	}
	return nil
}
