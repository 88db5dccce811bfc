package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/heartbeat"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
)

// Assignment is what a member owns for one generation. Safe for concurrent use.
type Assignment struct {
	// Partitions are the owned ones, sorted; a topic without any has no entry. There may be none at all: more members
	// than partitions.
	Partitions map[string][]int
	// Missing are the topics of GroupConfig that do not exist.
	Missing []string

	group      *Group
	generation int32
	memberID   string
	committed  map[TopicPartition]int64 // of all owned partitions; negative: none
	present    map[string]TopicInfo     // the topics, as they were before the group was joined; watch looks whether that still holds
	remade     map[TopicPartition]bool  // the group's offset is of a topic that is gone

	once sync.Once
	lost chan struct{} // closed once
}

func newAssignment(g *Group, gen *kafkago.Generation, present map[string]TopicInfo) *Assignment {
	a := &Assignment{
		Partitions: make(map[string][]int), Missing: g.missing(present),
		group: g, generation: gen.ID, memberID: gen.MemberID,
		present: present, committed: make(map[TopicPartition]int64), remade: make(map[TopicPartition]bool), lost: make(chan struct{}),
	}
	for topic, parts := range gen.Assignments {
		for _, p := range parts {
			a.Partitions[topic] = append(a.Partitions[topic], p.ID)
			a.committed[TopicPartition{topic, p.ID}] = p.Offset
		}
		slices.Sort(a.Partitions[topic])
	}
	return a
}

// All gives the owned partitions of all topics, sorted.
func (a *Assignment) All() []TopicPartition {
	return slices.SortedFunc(maps.Keys(a.committed), TopicPartition.compare)
}

// resume asks where the group is in the topics, and of which topics that is said: kafka-go does not tell.
func (a *Assignment) resume(ctx context.Context) error {
	c, group := a.group.client, a.group.cfg.ID
	slow := time.AfterFunc(sayWaiting, func() { a.group.log.Warn().Msg("kafka: the coordinator does not say where the group is") })
	defer slow.Stop()
	unmarked := map[TopicPartition]int64{} // they say of no topic, or of another cluster's
	for topic, partitions := range a.Partitions {
		var offsets map[int]committedAt
		err := c.retry(ctx, "look where the group is", func() (err error) {
			offsets, err = c.committed(ctx, group, topic, partitions)
			return err
		})
		if err != nil {
			return err
		}
		for number, at := range offsets {
			tp := TopicPartition{topic, number}
			switch {
			case at.offset >= 0 && another(at.identity, a.Identity(topic)):
				a.remade[tp], at.offset = true, -1
			case at.offset >= 0 && a.Identity(topic) != "" && at.identity != a.Identity(topic):
				unmarked[tp] = at.offset
			}
			a.committed[tp] = at.offset
		}
	}
	// Again, now that the coordinator has answered: joining takes its time, and kafka-go asks any broker while it knows no coordinator.
	now, _, err := a.group.present(ctx)
	switch {
	case err != nil:
		return err
	case !maps.EqualFunc(now, a.present, alike):
		return errTopics
	}
	a.mark(ctx, unmarked)
	return nil
}

// mark commits offsets as they are, so that they say of which topic they are. The session begins without that, too: each commit says it.
func (a *Assignment) mark(ctx context.Context, offsets map[TopicPartition]int64) {
	ctx, cancel := context.WithTimeout(ctx, markLimit)
	defer cancel()
	if err := a.Commit(ctx, offsets); err != nil && !errors.Is(err, ErrLost) {
		a.group.log.Warn().Err(err).Msg("kafka: not all of the group's offsets say yet of which topic they are")
	}
}

// markLimit is how long a session waits for its offsets to be marked.
const markLimit = 5 * time.Second

// Committed gives the group's committed offset of an owned partition at the session's start; false if there is none, or if it is of a
// topic of that name that was deleted (Remade).
func (a *Assignment) Committed(tp TopicPartition) (offset int64, ok bool) {
	offset, ok = a.committed[tp]
	return offset, ok && offset >= 0
}

// Remade says whether the group had an offset of an owned partition when the session began, but of a topic of that name that was
// deleted since. Coordinators forget the offsets of a deleted topic, so as a rule it has none.
func (a *Assignment) Remade(tp TopicPartition) bool { return a.remade[tp] }

// Identity gives that of a topic of the session, see TopicInfo.
func (a *Assignment) Identity(topic string) string { return a.present[topic].Identity }

// Offset asks where the group is now in an owned partition; false if it is nowhere, or in a topic of that name that was deleted.
func (a *Assignment) Offset(ctx context.Context, tp TopicPartition) (offset int64, ok bool, err error) {
	offsets, err := a.group.client.committed(ctx, a.group.cfg.ID, tp.Topic, []int{tp.Partition})
	at := offsets[tp.Partition]
	return at.offset, err == nil && at.offset >= 0 && !another(at.identity, a.Identity(tp.Topic)), err
}

// Same asks the group's coordinator whether a topic is still the one that the session is about: false once it was deleted, or made
// anew; then the group is about to join anew. Temporary errors are repeated until ctx ends.
func (a *Assignment) Same(ctx context.Context, topic string) (same bool, err error) {
	c := a.group.client
	err = c.retry(ctx, "look whether it is the same topic", func() error {
		topics, hidden, err := c.visibleTo(ctx, a.group.cfg.ID, []string{topic}, "Read")
		now, there := topics[topic]
		same = there && !another(a.Identity(topic), now.Identity)
		return errors.Join(append(hidden, err)...)
	})
	return same, err
}

// Lost is closed when it is known that the membership is lost: a drain is pointless from then on.
func (a *Assignment) Lost() <-chan struct{} { return a.lost }

func (a *Assignment) lose() { a.once.Do(func() { close(a.lost) }) }

// Alive asks the group whether it still lists this member, for this generation: ErrLost if it does not, or is about to
// form the next. Temporary errors are retried until ctx ends.
func (a *Assignment) Alive(ctx context.Context) error {
	return a.group.client.retry(ctx, "heartbeat", func() error { return a.heartbeat(ctx) })
}

// Commit stores offsets for the group: of each partition the first one not done, and of which topic it is. Partitions not owned
// and negative offsets are refused, whole; brokers would store both. ErrLost after the membership is lost. Temporary errors are
// retried until ctx ends. It may be called until the session has returned, also after its ctx has ended: give it another.
func (a *Assignment) Commit(ctx context.Context, offsets map[TopicPartition]int64) error {
	for tp, offset := range offsets {
		if _, own := a.committed[tp]; !own {
			return fmt.Errorf("commit %s: not owned by this member", tp)
		}
		if offset < 0 {
			return fmt.Errorf("commit %s: offset %d is negative", tp, offset)
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	return a.group.client.retry(ctx, "commit", func() error {
		select {
		case <-a.lost:
			return ErrLost
		default:
		}
		err := a.commit(ctx, offsets)
		// Only what says that the generation is over is a loss; while the group rebalances, commits are accepted, but
		// between its members' joining and their new assignment they are not (27).
		if errors.Is(err, ErrLost) {
			a.lose()
		}
		return err
	})
}

func (a *Assignment) commit(ctx context.Context, offsets map[TopicPartition]int64) error {
	req := &offsetcommit.Request{
		GroupID: a.group.cfg.ID, GenerationID: a.generation, MemberID: a.memberID, RetentionTimeMs: -1,
	}
	for _, tp := range slices.SortedFunc(maps.Keys(offsets), TopicPartition.compare) {
		part := offsetcommit.RequestPartition{
			PartitionIndex:       int32(tp.Partition),
			CommittedOffset:      offsets[tp],
			CommitTimestamp:      -1,
			CommittedLeaderEpoch: -1, // 0 would make other clients take the log for truncated
			CommittedMetadata:    ofTopic(a.Identity(tp.Topic)),
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Name == tp.Topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, part)
			continue
		}
		req.Topics = append(req.Topics, offsetcommit.RequestTopic{
			Name: tp.Topic, Partitions: []offsetcommit.RequestPartition{part},
		})
	}
	c, group := a.group.client, onGroup("Read", a.group.cfg.ID)
	m, err := c.send(ctx, req)
	if err != nil {
		return c.denied(err, group)
	}
	for _, t := range m.(*offsetcommit.Response).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				needs := group
				if codeError(p.ErrorCode).is(kafkago.TopicAuthorizationFailed) {
					needs = onTopic("Read", t.Name)
				}
				return fmt.Errorf("%s/%d: %w", t.Name, p.PartitionIndex, c.denied(code(p.ErrorCode), needs))
			}
		}
	}
	return nil
}

// keep sends heartbeats until returned is closed, the drain's limit has passed, or the membership is lost. In a group
// that rebalances they are answered 27 and count nevertheless.
func (a *Assignment) keep(returned <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), a.group.cfg.Drain)
	defer cancel()
	beat := time.NewTicker(a.group.cfg.HeartbeatInterval)
	defer beat.Stop()
	for {
		err := a.heartbeat(ctx)
		switch {
		case err == nil, errors.Is(err, kafkago.RebalanceInProgress):
		case errors.Is(err, ErrLost):
			a.lose()
			return
		case ctx.Err() == nil:
			a.group.log.Debug().Err(err).Msg("kafka: heartbeat while draining")
		}
		select {
		case <-returned:
			return
		case <-ctx.Done():
			a.group.log.Error().Dur("limit", a.group.cfg.Drain).Msg("kafka: drain takes too long, membership is given up")
			return
		case <-beat.C:
		}
	}
}

// heartbeat sends one. kafka-go's own type would go to any broker, not to the group's coordinator.
func (a *Assignment) heartbeat(ctx context.Context) error {
	c := a.group.client
	m, err := c.send(ctx, &groupExchange{
		exchange: exchange{clientID: c.cfg.ClientID, request: &heartbeat.Request{
			GroupID: a.group.cfg.ID, GenerationID: a.generation, MemberID: a.memberID,
		}},
		group: a.group.cfg.ID,
	})
	if err == nil {
		err = heartbeatCode(m)
	}
	return c.denied(err, onGroup("Read", a.group.cfg.ID))
}

func heartbeatCode(m protocol.Message) error { return swapped(m.(*heartbeat.Response).ThrottleTimeMs) }
