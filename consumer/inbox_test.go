package consumer_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/kafka"
)

// An inbox that was made anew (state knows offsets above its end) stops the partition; its events are not lost silently.
func TestInboxMadeAnew(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.stateOf("c1", "order/o1", `{"v":1,"seen":1000}`)
	d := newDesk(t, nil)
	w.start(d, false)
	w.put(w.order("c1", "o1", "new"))
	time.Sleep(3 * time.Second)
	repeated := d.told(func(r consumer.Report) bool { return r.Repeated })
	if len(repeated) > 0 {
		t.Errorf("%d events that were never worked on are taken for repeats, and lost", len(repeated))
	}
}

// The same, if the new one goes on beyond what state knows. Who has restored it says so by setting the group's offset.
func TestInboxMadeAnewAndLonger(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	first := newDesk(t, nil)
	m := w.start(first, false)
	w.put(w.order("c1", "o1", "old 1"), w.order("c1", "o1", "old 2"))
	w.until("the old ones are done", first.finished("old 2"))
	w.committed()
	m.stop()

	w.remake(w.writer(), w.cfg.Inbox, partitions)()
	w.put(w.order("c1", "o1", "new 1"), w.order("c1", "o1", "new 2"), w.order("c1", "o1", "new 3"))
	log, out := &lines{}, w.cfg.Log
	w.cfg.Log = zerolog.New(log)
	d := newDesk(t, nil)
	m = w.start(d, false)
	w.until("it is said", func() bool { return log.contain("there is another of its name") })
	m.stop()
	if len(d.told(func(consumer.Report) bool { return true })) > 0 {
		t.Error("events of another inbox are worked on")
	}

	w.cfg.Log = out
	w.commit(w.partition("c1"), 2, "")
	m = w.start(d, false)
	w.until("what comes after the offset is done", d.finished("new 3"))
	w.committed()
	m.stop()
	w.put(w.order("c1", "o1", "newer"))
	w.start(d, false)
	w.until("it is the one from then on", d.finished("newer"))
}

// A copy in another cluster may have other offsets: it is not worked on until somebody says where the group is in it.
func TestInboxOfOtherCluster(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.stateOf("c1", "order/o1", `{"v":1,"seen":0}`)
	w.write(kafka.Record{
		Topic: w.cfg.State, Partition: w.partition("c1"), Key: []byte("control"),
		Value: []byte(`{"v":1,"seen":-1,"inbox":"AAAAAAAAAAAAAAAAAAAAAA@elsewhere"}`),
	})
	w.put(w.order("c1", "o1", "one"), w.order("c1", "o1", "two"))
	log := &lines{}
	w.cfg.Log = zerolog.New(log)
	d := newDesk(t, nil)
	m := w.start(d, false)
	w.until("it is said", func() bool { return log.contain("the group has no offset in it") })
	m.stop()
	if len(d.told(func(consumer.Report) bool { return true })) > 0 {
		t.Error("events of another inbox are worked on")
	}
	w.commit(w.partition("c1"), 1, "")
	w.start(d, false)
	w.until("it goes on where it was told", d.finished("two"))
}

// An inbox that is another, of which state knows nothing, is worked on; also if the partition is taken anew before anything is
// committed.
func TestInboxMadeAnewBeforeState(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	info, err := w.client.Topics(t.Context(), w.cfg.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	_, cluster, _ := strings.Cut(info[w.cfg.Inbox].Identity, "@")
	w.commit(w.partition("c1"), 1, "topic:AAAAAAAAAAAAAAAAAAAAAA@"+cluster)
	commits := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: w.cfg.Inbox, Count: -1, Err: kerr.CoordinatorNotAvailable,
	})
	d := newDesk(t, nil)
	m := w.start(d, false)
	w.put(w.order("c1", "o1", "one"))
	w.until("its first event is done", d.finished("one"))
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: w.cfg.State, Count: 1, Err: kerr.InvalidProducerEpoch,
	})
	w.put(w.order("c1", "o1", "two"))
	if err := h.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w.until("the partition is taken anew", d.finished("two"))
	m.stop()
	commits.Remove()
	w.put(w.order("c1", "o1", "three"))
	w.start(d, false)
	w.until("and by the next owner", d.finished("three"))
}

// commit sets the group's offset in the inbox, while it has no members.
func (w *world) commit(partition int, offset int64, metadata string) {
	w.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = w.cfg.Group.ID, -1
	topic, at := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, at.Partition, at.Offset, at.Metadata = w.cfg.Inbox, int32(partition), offset, kmsg.StringPtr(metadata)
	topic.Partitions = append(topic.Partitions, at)
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(w.t.Context(), w.writer(kgo.MaxVersions(kversion.V2_8_0()))) // later ones go by ID
	if err != nil || res.Topics[0].Partitions[0].ErrorCode != 0 {
		w.t.Fatal("commit:", err, res)
	}
}

// An inbox that has deleted what was not done: that partition stands still, and says so. The others go on.
func TestInboxLost(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry, of := w.counted(), w.customers()
		d := newDesk(t, nil)
		m := w.start(d, false)
		w.put(w.order(of[0], "o1", "before"))
		w.until("done", d.finished("before"))
		w.committed()
		m.stop()
		offsets := w.put(w.order(of[0], "o2", "gone"), w.order(of[0], "o3", "after"), w.order(of[1], "o4", "other"))
		if err := w.broker.Cluster().DeleteRecords(w.cfg.Inbox, int32(w.partition(of[0])), offsets[1]); err != nil {
			t.Fatal(err)
		}
		w.start(d, false)
		lost := func(customer string) float64 {
			return w.number(registry, "inbox_lost", "partition", strconv.Itoa(w.partition(customer)))
		}
		w.until("the other partition goes on", d.finished("other"))
		w.until("it is told", func() bool { return lost(of[0]) == 1 })
		time.Sleep(10 * time.Minute)
		if lost(of[0]) != 1 || lost(of[1]) != 0 || d.tried("after") != 0 {
			t.Errorf("lost: %v, %v; %d attempts after the gap", lost(of[0]), lost(of[1]), d.tried("after"))
		}
	})
}
