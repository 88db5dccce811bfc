package kafka_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// A group's offset is one of a topic, not of its name: it does not count for another topic of that name, be it longer.
func TestOffsetOfDeletedTopic(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c := client(t, brokers)
	name := topic(t, c, 1, nil)
	tp := kafka.TopicPartition{Topic: name}
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}}
	same := func(a *kafka.Assignment, want bool) {
		t.Helper()
		if got, err := a.Same(t.Context(), name); err != nil || got != want {
			t.Errorf("the same topic: %v, %v; want %v", got, err, want)
		}
	}

	m := join(t, c, cfg)
	old := m.owns(t, 1)
	commit(t, old, tp, 2)
	same(old, true)
	remake(t, c, other(t, brokers), name)
	same(old, false)
	var a *kafka.Assignment
	eventually(t, "the group begins anew", func() bool {
		a = m.owns(t, 1)
		_, ok := a.Committed(tp)
		return !ok
	})
	same(a, true)
	commit(t, a, tp, 1)
	m.leave(t)
	a = join(t, c, cfg).owns(t, 1)
	if offset, ok := a.Committed(tp); offset != 1 || !ok || a.Remade(tp) {
		t.Errorf("after that it is at %d, %v; remade: %v", offset, ok, a.Remade(tp))
	}
}

// A commit that is repeated until a deleted topic is made again is none of the new one's.
func TestCommitOfDeletedTopic(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c := client(t, brokers)
	name := topic(t, c, 1, nil)
	tp := kafka.TopicPartition{Topic: name}
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}}
	m := join(t, c, cfg)
	old := m.owns(t, 1)
	m.drain.Store(new(func(*kafka.Assignment) {
		remake(t, c, other(t, brokers), name)
		commit(t, old, tp, 2) // as one that was under way
	}))
	m.leave(t)
	a := join(t, c, cfg).owns(t, 1)
	if offset, ok := a.Committed(tp); ok || !a.Remade(tp) {
		t.Errorf("the new one's offset is said to be %d, %v; remade: %v", offset, ok, a.Remade(tp))
	}
	if offsets, err := c.GroupOffsets(t.Context(), cfg.ID, name); err != nil || len(offsets) > 0 {
		t.Errorf("offsets %v, %v", offsets, err)
	}
}

// An offset that says nothing of a topic, or of one of another cluster, counts: who has set it meant this one. From then on it says of
// which topic it is.
func TestOffsetOfUnknownTopic(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c, foreign := client(t, brokers), other(t, brokers, kgo.MaxVersions(kversion.V2_8_0())) // later ones ask by ID
	name := topic(t, c, 1, nil)
	info, err := c.Topics(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	_, cluster, known := strings.Cut(info[name].Identity, "@")
	if !known {
		t.Fatalf("the topic's identity is %q", info[name].Identity)
	}
	const id = "AAAAAAAAAAAAAAAAAAAAAA"
	tp := kafka.TopicPartition{Topic: name}
	for metadata, counts := range map[string]bool{
		"": true, "somebody's": true, "topic:" + id + "@elsewhere": true, "topic:" + info[name].Identity: true,
		"topic:" + id + "@" + cluster: false,
	} {
		cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}}
		commitAs(t, foreign, cfg.ID, name, 3, metadata)
		m := join(t, c, cfg)
		offset, ok := m.owns(t, 1).Committed(tp)
		if ok != counts || ok && offset != 3 {
			t.Errorf("%q: committed %d, %v", metadata, offset, ok)
		}
		m.leave(t)
		want := metadata
		if counts {
			want = "topic:" + info[name].Identity
		}
		if got := metadataOf(t, foreign, cfg.ID, name); got != want {
			t.Errorf("%q became %q, want %q", metadata, got, want)
		}
	}
}

// An offset that cannot be marked holds up nobody.
func TestMarkRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.CoordinatorNotAvailable} {
		b := fake(t, broker.Config{})
		c, foreign := client(t, b.Addrs()), other(t, b.Addrs(), kgo.MaxVersions(kversion.V2_8_0()))
		one, two := topic(t, c, 1, nil), topic(t, c, 1, nil)
		cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{one, two}}
		commitAs(t, foreign, cfg.ID, one, 1, "")
		commitAs(t, foreign, cfg.ID, two, 2, "")
		b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: one, Count: -1, Err: code})
		a := join(t, c, cfg).owns(t, 2)
		for name, want := range map[string]int64{one: 1, two: 2} {
			if offset, ok := a.Committed(kafka.TopicPartition{Topic: name}); !ok || offset != want {
				t.Errorf("%v: committed %d, %v; want %d", code, offset, ok, want)
			}
		}
		if got := metadataOf(t, foreign, cfg.ID, two); !strings.HasPrefix(got, "topic:") {
			t.Errorf("%v: the other's offset says %q", code, got)
		}
	}
}

// A coordinator that says for a while that a topic is not there takes no mark away.
func TestBrokerThatLags(t *testing.T) {
	t.Parallel()
	b := fake(t, broker.Config{})
	c, foreign := client(t, b.Addrs()), other(t, b.Addrs(), kgo.MaxVersions(kversion.V2_8_0()))
	name := topic(t, c, 1, nil)
	tp := kafka.TopicPartition{Topic: name}
	cfg := kafka.GroupConfig{ID: broker.Name(t, "group"), Topics: []string{name}}
	m := join(t, c, cfg)
	commit(t, m.owns(t, 1), tp, 3)
	want := metadataOf(t, foreign, cfg.ID, name)
	h := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: name, Count: 3, Err: kerr.UnknownTopicOrPartition})
	if err := h.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if offset, ok := m.owns(t, 1).Committed(tp); offset != 3 || !ok {
		t.Errorf("it goes on at %d, %v", offset, ok)
	}
	if got := metadataOf(t, foreign, cfg.ID, name); got != want {
		t.Errorf("the offset said %q, and says %q", want, got)
	}
}

// Brokers before 2.8 have no topic IDs, those before 2.4 no flexible versions.
func TestTopicsOfOldBrokers(t *testing.T) {
	t.Parallel()
	for version, identity := range map[int16]bool{8: false, 9: false, 10: true, 13: true} {
		b := fake(t, broker.Config{})
		c := client(t, b.Addrs())
		name := topic(t, c, 3, nil)
		versions, err := kmsg.NewPtrApiVersionsRequest().RequestWith(t.Context(), other(t, b.Addrs()))
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan int16, 100)
		b.Cluster().ControlKey(int16(kmsg.ApiVersions), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.Cluster().KeepControl()
			answer := r.ResponseKind().(*kmsg.ApiVersionsResponse)
			for _, k := range versions.ApiKeys {
				if k.ApiKey == int16(kmsg.Metadata) {
					k.MaxVersion = version
				}
				answer.ApiKeys = append(answer.ApiKeys, k)
			}
			return answer, nil, true
		})
		b.Cluster().ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.Cluster().KeepControl()
			asked <- r.GetVersion()
			return nil, nil, false
		})
		topics, err := c.Topics(t.Context(), name, broker.Name(t, "none"))
		if got := topics[name]; err != nil || len(topics) != 1 || got.Partitions != 3 || got.Replication != 1 ||
			(got.Identity != "") != identity {
			t.Errorf("version %d: %v, %v", version, topics, err)
		}
		if got := <-asked; got != min(version, 10) {
			t.Errorf("version %d: asked with %d", version, got)
		}
		all, err := c.Topics(t.Context())
		if err != nil || all[name] != topics[name] {
			t.Errorf("version %d: all topics are %v, %v", version, all, err)
		}
	}
}

// remake deletes a topic with one partition, and makes it anew as soon as the brokers let it.
func remake(t *testing.T, c *kafka.Client, foreign *kgo.Client, name string) {
	t.Helper()
	broker.DeleteTopic(t, foreign, name)
	eventually(t, "it can be made again", func() bool {
		created, err := c.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: name, Partitions: 1}})
		return err == nil && created[name]
	})
}

func commit(t *testing.T, a *kafka.Assignment, tp kafka.TopicPartition, offset int64) {
	t.Helper()
	if err := a.Commit(t.Context(), map[kafka.TopicPartition]int64{tp: offset}); err != nil {
		t.Fatal(err)
	}
}

// commitAs sets an empty group's offset of a topic's partition 0, as operators' tools do.
func commitAs(t *testing.T, c *kgo.Client, group, name string, offset int64, metadata string) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	of, part := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	of.Topic, part.Offset, part.Metadata = name, offset, kmsg.StringPtr(metadata)
	of.Partitions = append(of.Partitions, part)
	req.Topics = append(req.Topics, of)
	res, err := req.RequestWith(t.Context(), c)
	if err != nil || res.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal("commit:", err, res)
	}
}

// metadataOf gives what a group's offset of a topic's partition 0 says beside it.
func metadataOf(t *testing.T, c *kgo.Client, group, name string) string {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	of := kmsg.NewOffsetFetchRequestTopic()
	of.Topic, of.Partitions = name, []int32{0}
	req.Topics = append(req.Topics, of)
	res, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return *res.Topics[0].Partitions[0].Metadata
}
