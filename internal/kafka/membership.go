package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
)

// membership is one kafka-go ConsumerGroup: from joining to leaving, over many generations.
type membership struct {
	group  *Group
	conns  *conns // kafka-go's connections for it
	member *kafkago.ConsumerGroup
	id     string // the last member ID, "" for none; kafka-go forgets it when a connection is lost
}

func (m *membership) start(topics []string) (err error) {
	c, cfg := m.group.client, m.group.cfg
	m.member, err = kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID:                cfg.ID,
		Brokers:           c.cfg.Brokers,
		Topics:            topics,
		GroupBalancers:    []kafkago.GroupBalancer{m.group.sticky},
		HeartbeatInterval: cfg.HeartbeatInterval,
		SessionTimeout:    cfg.SessionTimeout,
		RebalanceTimeout:  cfg.RebalanceTimeout,
		JoinGroupBackoff:  cfg.JoinBackoff,
		StartOffset:       kafkago.FirstOffset,
		Timeout:           c.cfg.Timeout,
		Dialer: &kafkago.Dialer{
			ClientID:      c.cfg.ClientID,
			DialFunc:      m.conns.dial,
			Timeout:       dialTimeout,
			SASLMechanism: c.sasl,
		},
	})
	if err != nil {
		return fmt.Errorf("consumer group: %w", err)
	}
	return nil
}

// next gives the next generation. While the group's other members drain, or a lost one is waited for, it says so.
func (m *membership) next(ctx context.Context) (*kafkago.Generation, error) {
	began := time.Now()
	ticker := time.NewTicker(sayWaiting)
	defer ticker.Stop()
	got := make(chan struct{})
	said := make(chan struct{})
	go func() {
		defer close(said)
		for {
			select {
			case <-ticker.C:
				m.group.log.Info().Dur("waited_ms", time.Since(began)).
					Msg("kafka: waiting for the group: other members drain, or one that is lost is waited for")
			case <-got:
				return
			}
		}
	}()
	gen, err := m.member.Next(ctx)
	close(got)
	<-said
	return gen, err
}

// sayWaiting is how often a member that waits for its group says so.
const sayWaiting = 10 * time.Second

// errGeneration is the cause of a session's ctx when the group rebalances, or the membership is lost.
var errGeneration = errors.New("the group's generation has ended")

// generation runs session for one generation, inside a function of gen: as long as that runs, kafka-go does not join
// the next.
func (m *membership) generation(
	ctx context.Context, gen *kafkago.Generation, present map[string]TopicInfo, session Session,
) error {
	a := newAssignment(m.group, gen, present)
	ended := make(chan error, 1)
	gen.Start(func(over context.Context) {
		began := time.Now()
		err := runSession(ctx, over, a, session)
		if err == nil && ctx.Err() == nil && over.Err() == nil {
			// Ended by itself: not at once again, each is a rebalance for all members.
			_ = wait(ctx, m.group.cfg.JoinBackoff-time.Since(began))
		}
		if err != nil || ctx.Err() != nil {
			// Now, before kafka-go sees this function return and joins the next generation: that JoinGroup would be
			// answered only when all the others have drained, and Close would wait for it.
			m.conns.close()
		}
		ended <- err
	})
	return <-ended
}

// runSession calls session once it is known where the group is, with a context of its own: kafka-go's is of a type that HTTP
// clients cannot use, with an error that nobody knows. From that context's end on our heartbeats keep the membership; kafka-go's
// end with it.
func runSession(ctx, over context.Context, a *Assignment, session Session) error {
	sctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	returned := make(chan struct{})
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		select {
		case <-over.Done():
			end(errGeneration)
		case <-ctx.Done(): // kafka-go's heartbeats go on only until one is refused
		case <-returned:
			return
		}
		a.keep(returned)
	}()
	err := a.resume(sctx)
	switch {
	case err == nil:
		err = session(sctx, a)
	case !errors.Is(err, errTopics):
		if sctx.Err() == nil {
			a.group.log.Error().Err(err).Msg("kafka: it is not known where the group is, which is joined anew")
		}
		err = nil
	}
	close(returned)
	<-drained
	return err
}

// leave ends the membership. With a member ID our own LeaveGroup does it, and kafka-go's connections are cut so that it
// waits for nothing. Without one, only kafka-go can: its JoinGroup may be under way, and its answer tells the ID.
func (m *membership) leave(ctx context.Context) {
	if m.id != "" {
		m.conns.close()
	}
	cut := time.AfterFunc(leaveLimit, m.conns.close)
	_ = m.member.Close() // never an error
	cut.Stop()
	m.conns.close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	m.forget(ctx)
}

// leaveLimit is how long leaving may wait for an answer. Without one, the group waits for the session timeout.
const leaveLimit = 5 * time.Second

// forget takes the member out of the group, until answered: for a member that is just gone, the others wait a session
// timeout.
func (m *membership) forget(ctx context.Context) {
	if m.id == "" {
		return
	}
	c, group := m.group.client, m.group.cfg.ID
	err := c.retry(ctx, "leave group", func() error {
		res, err := c.send(ctx, &leavegroup.Request{
			GroupID: group,
			Members: []leavegroup.RequestMember{{MemberID: m.id}},
		})
		if err != nil {
			return err
		}
		left := res.(*leavegroup.Response)
		err = swapped(left.ThrottleTimeMS)
		if err == nil && len(left.Members) == 1 {
			err = code(left.Members[0].ErrorCode)
		}
		return c.denied(err, onGroup("Read", group))
	})
	if err != nil && !errors.Is(err, ErrLost) { // lost: it was out already
		m.group.log.Warn().Err(err).Msg("kafka: the group was not left")
	}
	m.id = ""
}
