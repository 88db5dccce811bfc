package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// brokersFor gives the brokers to talk to: those given, else those of KAFKA_BROKERS, else where "up" has its own.
func brokersFor(given []string, t terminal) []string {
	switch {
	case len(given) > 0:
		return given
	case t.env("KAFKA_BROKERS") != "":
		return strings.Split(t.env("KAFKA_BROKERS"), ",")
	}
	return []string{"127.0.0.1:9092"}
}

// answered gives look until limit for the brokers' first answer.
func answered(ctx context.Context, limit time.Duration, brokers []string, look func(context.Context) error) error {
	looking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := look(looking)
	if err != nil && looking.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer from %s within %s", strings.Join(brokers, ", "), limit)
	}
	return err
}

// program is how the commands that are proposed begin.
const program = "go run ./cmd/distributor-sandbox"

// reading is the command that shows what became of events sent to these brokers; nil are those that it finds itself.
func reading(brokers []string) string {
	command := program + " results --dead"
	if len(brokers) == 0 {
		return "  " + command
	}
	return fold("  ", command, "--brokers "+strings.Join(brokers, ","))
}
