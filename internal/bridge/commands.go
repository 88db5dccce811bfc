package bridge

import (
	"context"
	"errors"
	"fmt"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/replay"
	"distributor-bridge/schemas"
)

// Resume lets events of a type go on that has paused, since too many of them were rejected; CheckResume gives its name. It needs
// only the topics.
func Resume(ctx context.Context, c Config, typ string, who replay.Who) (done replay.Resumed, err error) {
	return done, c.operate(ctx, func(cfg replay.Config) error {
		done, err = replay.Resume(ctx, cfg, typ, who)
		return err
	})
}

// CheckResume says what is wrong with what an operator wants to resume, and gives the name of the event type, which may be given
// with its prefix, without it.
func CheckResume(c Config, typ string, who replay.Who) (string, error) {
	contract, err := schemas.New(c.TypesPrefix)
	if err != nil {
		return "", err
	}
	return replay.Check(contract, typ, who)
}

// operate connects an operator's command with the topics.
func (c *Config) operate(ctx context.Context, do func(replay.Config) error) error {
	contract, err := schemas.New(c.TypesPrefix)
	if err != nil {
		return err
	}
	client, err := c.adminClient()
	if err != nil {
		return err
	}
	defer client.Close()
	names := c.Topics.Names()
	if err := c.own(ctx, client, names.Inbox, names.State); err != nil {
		return err
	}
	return do(replay.Config{
		Client: client, Contract: contract, Inbox: names.Inbox, State: names.State, Partitions: c.Topics.Partitions,
		Source: c.Source,
	})
}

// own says what is wrong with topics of the bridge's own.
func (c *Config) own(ctx context.Context, client *kafka.Client, topics ...string) error {
	have, err := client.Topics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("look at the topics: %w", err)
	}
	var wrong []error
	for _, topic := range topics {
		switch info, exists := have[topic]; {
		case !exists:
			wrong = append(wrong, fmt.Errorf("topic %s does not exist: run distributor-bridge topics create", topic))
		case info.Partitions != c.Topics.Partitions && topic != c.Topics.Names().Hints:
			wrong = append(wrong, fmt.Errorf("topic %s has %d partitions, topics.partitions says %d: the number is fixed for ever",
				topic, info.Partitions, c.Topics.Partitions))
		}
	}
	return errors.Join(wrong...)
}
