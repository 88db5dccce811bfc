package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// TestDrain: a member that drains for longer than the session timeout stays a member, and its last commit counts; the
// other gets the partitions, with that commit, only afterwards.
func TestDrain(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, nil)
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}, SessionTimeout: 6 * time.Second}
	one := join(t, c, cfg)
	one.owns(t, 2)
	committed := make(chan error, 1)
	drain := func(a *kafka.Assignment) {
		time.Sleep(8 * time.Second)
		all := make(map[kafka.TopicPartition]int64)
		for _, tp := range a.All() {
			all[tp] = 5
		}
		committed <- a.Commit(context.Background(), all)
	}
	one.drain.Store(&drain)
	began := time.Now()
	two := join(t, c, cfg)
	b := two.owns(t, 1)
	if d := time.Since(began); d < 7*time.Second {
		t.Errorf("the other member had its partition after %s, before the drain's end", d)
	}
	one.drain.Store(nil)
	if err := <-committed; err != nil {
		t.Errorf("commit at the drain's end: %v", err)
	}
	if offset, ok := b.Committed(b.All()[0]); !ok || offset != 5 {
		t.Errorf("the other member starts at %d, %v", offset, ok)
	}
}

// TestLost: a member that was silent too long finds its commits refused, and what the new owner committed stays.
func TestLost(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c, net := client(t, brokers), newNetwork()
	name, group := topic(t, c, 1, nil), broker.Name(t, "group")
	cfg := kafka.GroupConfig{ID: group, Topics: []string{name}}
	tp := kafka.TopicPartition{Topic: name}

	silent := join(t, clientOn(t, brokers, net.dial), cfg)
	a := silent.owns(t, 1)
	hold := make(chan struct{})
	drain := func(*kafka.Assignment) { <-hold }
	silent.drain.Store(&drain)
	net.cut(true)
	b := join(t, c, cfg).owns(t, 1)
	if err := b.Commit(t.Context(), map[kafka.TopicPartition]int64{tp: 9}); err != nil {
		t.Fatal(err)
	}
	net.cut(false)
	for range 2 {
		if err := a.Commit(t.Context(), map[kafka.TopicPartition]int64{tp: 3}); !errors.Is(err, kafka.ErrLost) {
			t.Errorf("commit after the loss: %v", err)
		}
	}
	select {
	case <-a.Lost():
	default:
		t.Error("the loss is not told")
	}
	if got, err := c.GroupOffsets(t.Context(), group, name); err != nil || got[0] != 9 {
		t.Errorf("group offsets %v, %v", got, err)
	}
	silent.drain.Store(nil)
	close(hold)
}

// TestLossIsNoticed: heartbeats of a drain find out that the membership is lost.
func TestLossIsNoticed(t *testing.T) {
	t.Parallel()
	b := fake(t, broker.Config{})
	c := client(t, b.Addrs())
	name, group := topic(t, c, 1, nil), broker.Name(t, "group")
	one := join(t, c, kafka.GroupConfig{ID: group, Topics: []string{name}})
	a := one.owns(t, 1)
	noticed := make(chan bool, 1)
	drain := func(a *kafka.Assignment) {
		select {
		case <-a.Lost():
			noticed <- true
		case <-time.After(time.Minute):
			noticed <- false
		}
	}
	one.drain.Store(&drain)
	evict(t, b, group)
	if !<-noticed {
		t.Error("not within 10 s")
	}
	one.drain.Store(nil)
	if err := a.Commit(t.Context(), map[kafka.TopicPartition]int64{{Topic: name}: 1}); !errors.Is(err, kafka.ErrLost) {
		t.Error(err)
	}
	one.owns(t, 1)
}

// evict takes all members out of a group, as an operator may.
func evict(t *testing.T, b *broker.Broker, group string) {
	t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range b.Cluster().GroupInfo(group).Members {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m.MemberID
		req.Members = append(req.Members, member)
	}
	res, err := req.RequestWith(t.Context(), other(t, b.Addrs()))
	if err != nil || res.ErrorCode != 0 || len(req.Members) == 0 {
		t.Fatal("evict:", err, res)
	}
}

// TestLostConnection: a member whose connections break is back soon, although kafka-go has forgotten its ID and the
// group could wait for that member for a whole session timeout.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	net := newNetwork()
	name := topic(t, client(t, brokers), 1, nil)
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}, SessionTimeout: 30 * time.Second}
	m := join(t, clientOn(t, brokers, net.dial), cfg)
	m.owns(t, 1)
	for range 3 {
		began := time.Now()
		net.cut(true)
		time.Sleep(300 * time.Millisecond) // until heartbeats and joins have failed
		net.cut(false)
		m.owns(t, 1)
		if d := time.Since(began); d > 8*time.Second {
			t.Errorf("back after %s", d)
		}
	}
}
