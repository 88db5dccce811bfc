package broker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"distributor-bridge/internal/broker"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(broker.Config{Topics: []string{"events"}, Partitions: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	admin, err := broker.NewAdmin(b.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ClientID("one"), kgo.ConsumerGroup("group"), kgo.ConsumeTopics("events"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		members, stable, err := admin.Members(t.Context(), "group")
		if err == nil && stable && len(members) == 1 {
			m := members[0]
			slices.Sort(m.Partitions["events"])
			if m.ID == "" || m.ClientID != "one" || !slices.Equal(m.Partitions["events"], []int{0, 1, 2}) {
				t.Errorf("%+v", m)
			}
			break
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := admin.Forget(t.Context(), "group"); err == nil {
		t.Error("forgets a group that has a member")
	}
	client.Close()
	for range 2 {
		if err := admin.Forget(t.Context(), "group"); err != nil {
			t.Error(err)
		}
	}
}
