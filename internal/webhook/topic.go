package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"distributor-bridge/internal/kafka"
)

// Topic is where hints are passed on: all members read all of it.
type Topic struct {
	Client   *kafka.Client
	Producer *kafka.Producer // of Write
	Name     string
	Log      zerolog.Logger
}

// Write makes a hint durable.
func (t Topic) Write(ctx context.Context, h Hint) error {
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = t.Producer.Produce(ctx, kafka.Record{Topic: t.Name, Key: []byte(h.InvestmentID.String()), Value: value})
	if err != nil {
		return fmt.Errorf("pass on a hint: %w", err)
	}
	return nil
}

const (
	again     = 5 * time.Second  // after trouble with the topic, at first; twice as long each time
	mostAgain = time.Minute      // at most
	sayAgain  = 30 * time.Minute // trouble that lasts is told so often
)

// Follow tells look of each hint that is written from now on, until ctx ends. Trouble with the topic costs hints, never more:
// every investment is looked at from time to time without one.
func (t Topic) Follow(ctx context.Context, look func(Hint)) {
	f := follower{Topic: t, look: look}
	for pause := again; ctx.Err() == nil; pause = min(2*pause, mostAgain) {
		began := time.Now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.say(err)
		if time.Since(began) > mostAgain {
			pause = again
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// follower is one Follow.
type follower struct {
	Topic
	look func(Hint)
	said time.Time // when trouble was told last
}

// say tells of trouble, but not over and over.
func (f *follower) say(err error) {
	if time.Since(f.said) < sayAgain {
		return
	}
	f.said = time.Now()
	f.Log.Warn().Err(err).Str("topic", f.Name).Msg("hints cannot be read: investments are polled all the same")
}

// follow reads on from the topic's end. Of trouble that ends by itself, such as a broker that restarts, no hint is lost.
func (f *follower) follow(ctx context.Context) error {
	ends, err := f.Client.EndOffset(ctx, f.Name)
	if err != nil {
		return err
	}
	fetcher := f.Client.Fetcher(kafka.FetcherConfig{ReadCommitted: true, PartitionMaxBytes: 64 << 10})
	defer fetcher.Close()
	for number, end := range ends {
		fetcher.Set(kafka.TopicPartition{Topic: f.Name, Partition: number}, end)
	}
	for {
		fetched, err := fetcher.Poll(ctx)
		if err != nil {
			return err
		}
		for _, got := range fetched {
			switch {
			case errors.Is(got.Err, kafka.ErrOutOfRange), errors.Is(got.Err, kafka.ErrNoTopic): // it was made anew, or is gone
				return got.Err
			case got.Err != nil: // it is tried again after a pause
				f.say(got.Err)
				continue
			}
			f.tell(got.Records)
		}
	}
}

// tell passes hints on. What is none is not ours.
func (f *follower) tell(records []kafka.Record) {
	for _, r := range records {
		var h Hint
		if json.Unmarshal(r.Value, &h) == nil && h.InvestmentID != uuid.Nil {
			f.look(h)
		}
	}
}
