package kafka_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// member runs a member of a group for tests. Its sessions are told to the test, and end when their context does, after
// drain.
type member struct {
	assigned chan *kafka.Assignment // each session's, at its start
	drain    atomic.Pointer[func(a *kafka.Assignment)]
	stop     func()
	done     chan error
}

func join(t *testing.T, c *kafka.Client, cfg kafka.GroupConfig) *member {
	t.Helper()
	cfg.HeartbeatInterval = 100 * time.Millisecond
	cfg.JoinBackoff = 100 * time.Millisecond
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 6 * time.Second // the shortest that brokers accept unless told otherwise
	}
	cfg.TopicPoll = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{assigned: make(chan *kafka.Assignment, 100), stop: cancel, done: make(chan error, 1)}
	go func() {
		m.done <- c.Group(cfg).Run(ctx, func(ctx context.Context, a *kafka.Assignment) error {
			m.assigned <- a
			<-ctx.Done()
			if drain := m.drain.Load(); drain != nil {
				(*drain)(a)
			}
			return nil
		})
	}()
	t.Cleanup(func() { m.leave(t) })
	return m
}

func (m *member) leave(t *testing.T) {
	t.Helper()
	m.stop()
	select {
	case err := <-m.done:
		if err != nil {
			t.Error(err)
		}
		m.done <- nil // for the cleanup
	case <-time.After(2 * time.Minute):
		t.Error("Run did not end within 30 s")
	}
}

// owns waits for a session with n partitions and gives it.
func (m *member) owns(t *testing.T, n int) *kafka.Assignment {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case a := <-m.assigned:
			if len(a.All()) == n {
				return a
			}
		case <-limit:
			t.Fatalf("no session with %d partitions within 30 s", n)
		}
	}
}

func TestGroupShares(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name, group := topic(t, c, 4, nil), broker.Name(t, "group")
	cfg := kafka.GroupConfig{ID: group, Topics: []string{name}}

	one := join(t, c, cfg)
	a := one.owns(t, 4)
	tp := kafka.TopicPartition{Topic: name, Partition: 2}
	if _, ok := a.Committed(tp); ok {
		t.Error("a fresh group has a committed offset")
	}
	if err := a.Commit(t.Context(), map[kafka.TopicPartition]int64{tp: 7}); err != nil {
		t.Fatal(err)
	}

	two := join(t, c, cfg)
	b := two.owns(t, 2)
	a2 := one.owns(t, 2)
	all := slices.Concat(a2.All(), b.All())
	slices.SortFunc(all, func(x, y kafka.TopicPartition) int { return x.Partition - y.Partition })
	if len(slices.Compact(all)) != 4 {
		t.Fatalf("the members share %v", all)
	}
	for _, x := range []*kafka.Assignment{a2, b} {
		offset, ok := x.Committed(tp)
		own := slices.Contains(x.All(), tp)
		if ok != own || own && offset != 7 {
			t.Errorf("committed: %d, %v; owned: %v", offset, ok, own)
		}
	}

	began := time.Now()
	two.leave(t)
	one.owns(t, 4)
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("the leaver's partitions took %s to move", d)
	}
	got, err := c.GroupOffsets(t.Context(), group, name)
	if err != nil || len(got) != 1 || got[2] != 7 {
		t.Errorf("group offsets %v, %v", got, err)
	}
}

func TestCommitGuards(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name, group := topic(t, c, 2, nil), broker.Name(t, "group")
	a := join(t, c, kafka.GroupConfig{ID: group, Topics: []string{name}}).owns(t, 2)
	for what, offsets := range map[string]map[kafka.TopicPartition]int64{
		"negative":  {{Topic: name, Partition: 0}: 1, {Topic: name, Partition: 1}: -1},
		"not owned": {{Topic: name, Partition: 0}: 1, {Topic: name, Partition: 2}: 1},
	} {
		if err := a.Commit(t.Context(), offsets); err == nil || errors.Is(err, kafka.ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := c.GroupOffsets(t.Context(), group, name); len(got) > 0 || err != nil {
		t.Errorf("refused commits have left %v, %v", got, err)
	}
	if err := a.Commit(t.Context(), nil); err != nil {
		t.Errorf("nothing to commit: %v", err)
	}
}

func TestTopicsAppear(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c := client(t, brokers)
	here, later := topic(t, c, 1, nil), broker.Name(t, "later")
	m := join(t, c, kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{later, here}})
	if a := m.owns(t, 1); !slices.Equal(a.Missing, []string{later}) || len(a.Partitions[here]) != 1 {
		t.Errorf("%+v, missing %v", a.Partitions, a.Missing)
	}
	createTopic(t, c, later, 2, nil)
	if a := m.owns(t, 3); len(a.Missing) > 0 || !slices.Equal(a.Partitions[later], []int{0, 1}) {
		t.Errorf("%+v, missing %v", a.Partitions, a.Missing)
	}
	grow(t, brokers, later, 5)
	m.owns(t, 6)

	none := join(t, c, kafka.GroupConfig{ID: broker.Name(t, "group2"), Topics: []string{broker.Name(t, "none")}})
	none.leave(t) // it waits for a topic, and can be stopped
}

func grow(t *testing.T, brokers []string, topic string, partitions int32) {
	t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	spec := kmsg.NewCreatePartitionsRequestTopic()
	spec.Topic, spec.Count = topic, partitions
	req.Topics = append(req.Topics, spec)
	res, err := req.RequestWith(t.Context(), other(t, brokers))
	if err != nil || res.Topics[0].ErrorCode != 0 {
		t.Fatal("add partitions:", err, res)
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}, SessionTimeout: 30 * time.Second, JoinBackoff: 100 * time.Millisecond}
	broken := errors.New("broken")
	sessions := 0
	err := c.Group(cfg).Run(t.Context(), func(context.Context, *kafka.Assignment) error {
		if sessions++; sessions < 3 {
			return nil // gives up, and joins again
		}
		return broken
	})
	if !errors.Is(err, broken) || sessions != 3 {
		t.Errorf("%v after %d sessions", err, sessions)
	}
	began := time.Now()
	join(t, c, cfg).owns(t, 1)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the next member had to wait %s: the group was not left", d)
	}
}

// TestTopicGoneAtRejoin: a topic that is away while the group joins anew takes nothing else away, although the look for changed topics
// comes much later.
func TestTopicGoneAtRejoin(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c := client(t, brokers)
	stays, goes := topic(t, c, 1, nil), topic(t, c, 1, nil)
	sessions, next := make(chan *kafka.Assignment), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Group(kafka.GroupConfig{
			ID: broker.Name(t, "group"), Topics: []string{stays, goes}, TopicPoll: time.Hour, JoinBackoff: 100 * time.Millisecond,
		}).Run(ctx, func(ctx context.Context, a *kafka.Assignment) error {
			sessions <- a
			select {
			case <-next:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	if a := <-sessions; len(a.All()) != 2 {
		t.Errorf("begins with %v", a.Partitions)
	}
	broker.DeleteTopic(t, other(t, brokers), goes)
	next <- struct{}{}
	if a := <-sessions; len(a.Partitions[stays]) != 1 || !slices.Equal(a.Missing, []string{goes}) {
		t.Errorf("goes on with %v, missing %v", a.Partitions, a.Missing)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSessionContext: the session's context is an ordinary one, which HTTP clients understand.
func TestSessionContext(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hang.Close()
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Group(kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}}).Run(ctx, func(ctx context.Context, _ *kafka.Assignment) error {
		time.AfterFunc(200*time.Millisecond, cancel)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, hang.URL, nil)
		if err != nil {
			return err
		}
		res, err := hang.Client().Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("%v, %v", err, ctx.Err())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLeavesWhileOthersDrain: stopping does not wait for the drains of other members.
func TestLeavesWhileOthersDrain(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, nil)
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}}
	one, two := join(t, c, cfg), join(t, c, cfg)
	one.owns(t, 1)
	two.owns(t, 1)
	hold := make(chan struct{})
	draining := make(chan struct{})
	drain := func(*kafka.Assignment) { close(draining); <-hold }
	one.drain.Store(&drain)
	three := join(t, c, cfg) // makes the group rebalance: it waits for one's drain
	<-draining
	began := time.Now()
	two.leave(t)
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("leaving with a known member ID took %s", d)
	}
	began = time.Now()
	three.leave(t)
	if d := time.Since(began); d > 12*time.Second {
		t.Errorf("leaving before the first generation took %s", d)
	}
	one.drain.Store(nil)
	close(hold)
}

func TestGroupConfig(t *testing.T) {
	t.Parallel()
	if err := (kafka.GroupConfig{ID: "g", Topics: []string{"t"}}).Validate(); err != nil {
		t.Error(err)
	}
	bad := kafka.GroupConfig{Topics: []string{""}, SessionTimeout: time.Second, HeartbeatInterval: time.Second, Drain: time.Hour, TopicPoll: -1}
	var joined interface{ Unwrap() []error }
	if err := bad.Validate(); !errors.As(err, &joined) || len(joined.Unwrap()) != 5 {
		t.Errorf("want 5 problems: %v", err)
	}
	c := client(t, []string{net.JoinHostPort("127.0.0.1", "1")})
	if err := c.Group(bad).Run(t.Context(), nil); err == nil {
		t.Error("runs with a bad configuration")
	}
}
