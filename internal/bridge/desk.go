package bridge

import (
	"context"
	"fmt"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/replay"
	"distributor-bridge/schemas"
)

// OpenDesk gives what operators' commands read and write with, of the brokers and topics that the configuration names; of the
// rest only what foresees a replay is looked at. progress is told how far the reading of a topic is; nil: nobody. Close it after use.
func OpenDesk(ctx context.Context, c Config, progress func(what string, done, total int64)) (*replay.Desk, error) {
	contract, err := schemas.New(c.TypesPrefix)
	if err != nil {
		return nil, err
	}
	connection, err := c.kafkaConfig()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	names := c.Topics.Names()
	connection.Topics = []string{names.Inbox, names.Results, names.DeadLetters, names.State}
	client, err := kafka.New(connection)
	if err != nil {
		return nil, err
	}
	desk := replay.New(replay.Config{
		Client: client, Contract: contract, Inbox: names.Inbox, Results: names.Results, DeadLetters: names.DeadLetters,
		State: names.State, Partitions: c.Topics.Partitions, Source: c.Source, Progress: progress,
		MaxRecord: c.Topics.MaxMessageBytes, Group: c.Group.Name, Quiet: c.Rules.Quiet, Foresee: c.foresee,
	})
	if err := desk.Open(ctx); err != nil {
		desk.Close()
		return nil, err
	}
	return desk, nil
}
