package kafka

import (
	"encoding/json"
	"fmt"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"pgregory.net/rapid"
)

// Whatever members say that they have: every partition goes to one member, evenly, and nobody loses one that it may keep.
func TestSticky(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		topics := []string{"a", "b"}
		var partitions []kafkago.Partition
		for _, topic := range topics {
			for p := range rapid.IntRange(0, 9).Draw(t, "partitions of "+topic) {
				partitions = append(partitions, kafkago.Partition{Topic: topic, ID: p})
			}
		}
		var members []kafkago.GroupMember
		said := map[string]map[TopicPartition]bool{}
		claimants := map[TopicPartition]int{}
		for i := range rapid.IntRange(1, 5).Draw(t, "members") {
			m := kafkago.GroupMember{ID: fmt.Sprint("m", i), Topics: topics}
			said[m.ID] = map[TopicPartition]bool{}
			owned := map[string][]int{}
			for range rapid.IntRange(0, 8).Draw(t, "claims") {
				tp := TopicPartition{rapid.SampledFrom([]string{"a", "b", "gone"}).Draw(t, "topic"), rapid.IntRange(0, 10).Draw(t, "partition")}
				if !said[m.ID][tp] {
					said[m.ID][tp] = true
					claimants[tp]++
					owned[tp.Topic] = append(owned[tp.Topic], tp.Partition)
				}
			}
			m.UserData, _ = json.Marshal(owned)
			if rapid.IntRange(0, 9).Draw(t, "garbled") == 0 {
				m.UserData = []byte("{")
				for tp := range said[m.ID] {
					claimants[tp]--
				}
				said[m.ID] = nil
			}
			members = append(members, m)
		}

		got := (&sticky{}).AssignGroups(members, partitions)

		owner := map[TopicPartition]string{}
		share := len(partitions) / len(members)
		for id, of := range got {
			n := 0
			for topic, numbers := range of {
				for _, p := range numbers {
					n++
					if other, twice := owner[TopicPartition{topic, p}]; twice {
						t.Fatalf("%s/%d: %s and %s", topic, p, other, id)
					}
					owner[TopicPartition{topic, p}] = id
				}
			}
			if n < share || n > share+1 {
				t.Fatalf("%s has %d of %d among %d", id, n, len(partitions), len(members))
			}
		}
		if len(owner) != len(partitions) {
			t.Fatalf("%d assigned, of %d", len(owner), len(partitions))
		}
		for _, m := range members {
			kept, sole := 0, 0
			for _, p := range partitions {
				tp := TopicPartition{p.Topic, p.ID}
				if said[m.ID][tp] && owner[tp] == m.ID {
					kept++
				}
				if said[m.ID][tp] && claimants[tp] == 1 {
					sole++
				}
			}
			if kept < min(sole, share) {
				t.Fatalf("%s keeps %d of %d that only it has, the share is %d", m.ID, kept, sole, share)
			}
		}
	})
}
