package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
)

// controlKey is the key of the record with what holds for the whole partition. No object's key is like it: they hold a slash.
const controlKey = "control"

// controlVersion is the highest form of that record that this bridge understands.
const controlVersion = 1

// Control is what holds for a partition as a whole: which event types have paused, and how far operators' commands have been
// done. It is never changed once it is in a Store.
type Control struct {
	Seen   int64               `json:"seen"`             // the highest inbox offset of a command without a customer that is done; -1 if none is
	Paused map[string]Pause    `json:"paused,omitempty"` // by event type, without prefix
	Lifted map[string][]string `json:"lifted,omitempty"` // by event type: IDs of the pauses that the last resume ended, or had ended elsewhere
	Inbox  string              `json:"inbox,omitempty"`  // identity of the inbox of which state knows offsets (kafka.TopicInfo)
}

// Pause says that events of a type are not attempted, and why.
type Pause struct {
	ID       string    `json:"id"` // the same in all partitions of the member that paused the type
	Since    time.Time `json:"since"`
	Ended    int       `json:"ended"`    // events of the type that had ended shortly before
	Rejected int       `json:"rejected"` // of these
	Owner    string    `json:"owner"`    // the member, for people
}

// NewControl gives the record of a partition of which nothing is known.
func NewControl() *Control { return &Control{Seen: -1} }

// Pause makes a type pause.
func (c *Control) Pause(typ string, p Pause) {
	paused := maps.Clone(c.Paused)
	if paused == nil {
		paused = map[string]Pause{}
	}
	paused[typ] = p
	c.Paused = paused
}

// Lift ends the pause of a type if it is one of these, and remembers that these are over, wherever they are written.
func (c *Control) Lift(typ string, pauses []string) (lifted bool) {
	if lifted = slices.Contains(pauses, c.Paused[typ].ID); lifted {
		c.Paused = maps.Clone(c.Paused)
		delete(c.Paused, typ)
	}
	c.Lifted = maps.Clone(c.Lifted)
	if c.Lifted == nil {
		c.Lifted = map[string][]string{}
	}
	c.Lifted[typ] = slices.Clone(pauses)
	return lifted
}

// IsPaused says whether a type has paused.
func (c *Control) IsPaused(typ string) bool {
	_, paused := c.Paused[typ]
	return paused
}

// IsLifted says whether a pause is over by what the partition knows.
func (c *Control) IsLifted(typ, pause string) bool { return slices.Contains(c.Lifted[typ], pause) }

// Control gives what holds for the partition, not to be changed.
func (s *Store) Control() *Control {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.control
}

// SetControl changes what holds for the partition: it is written, and then known. change is told what holds, may replace its
// maps but not change them (Pause and Lift keep to that), and says whether there is anything to write. It may be called from
// many goroutines. After an error the partition has to be given up.
func (s *Store) SetControl(ctx context.Context, change func(*Control) bool) error {
	select {
	case s.controlling <- struct{}{}:
		defer func() { <-s.controlling }()
	case <-ctx.Done():
		return fmt.Errorf("write state %s/%d: wait for another write: %w", s.cfg.Topic, s.cfg.Partition, ctx.Err())
	}
	next := *s.Control()
	if !change(&next) {
		return nil
	}
	value, err := next.encode()
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	now := time.Now()
	offsets, err := s.producer.Produce(ctx, s.record(controlKey, value))
	if err != nil {
		return fmt.Errorf("write state %s/%d: %w", s.cfg.Topic, s.cfg.Partition, err)
	}
	s.prove(now, offsets)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.control = &next
	return nil
}

func (c *Control) encode() ([]byte, error) {
	return json.Marshal(struct {
		Version int `json:"v"`
		*Control
	}{controlVersion, c})
}

func decodeControl(value []byte) (*Control, error) {
	c := NewControl()
	if value == nil {
		return c, nil
	}
	read := struct {
		Version int `json:"v"`
		*Control
	}{Control: c}
	if err := json.Unmarshal(value, &read); err != nil {
		return nil, errors.New("the control record is not readable JSON")
	}
	if read.Version > controlVersion {
		return nil, fmt.Errorf("the control record has version %d, and this bridge knows %d: run the newer bridge",
			read.Version, controlVersion)
	}
	return c, nil
}

// restoreControl takes in the control record of the topic.
func (s *Store) restoreControl(r kafka.Record) error {
	c, err := decodeControl(r.Value)
	if err != nil {
		return fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.control = c
	return nil
}

// ReadControl gives what holds for a partition of the state topic as the topic says it now, without taking the partition: for
// operators' tools. All of the partition is read for it.
func ReadControl(ctx context.Context, client *kafka.Client, topic string, partition int, start, end int64) (*Control, error) {
	found := NewControl()
	err := client.Read(ctx, topic, partition, start, end, func(r kafka.Record) error {
		if string(r.Key) != controlKey {
			return nil
		}
		c, err := decodeControl(r.Value)
		if err != nil {
			return fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		found = c
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read state %s/%d: %w", topic, partition, err)
	}
	return found, nil
}
