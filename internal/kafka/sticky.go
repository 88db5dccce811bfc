package kafka

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	kafkago "github.com/segmentio/kafka-go"
)

// sticky assigns partitions evenly, and as many as possible to the members that have them: their state is in memory
// there. Each member tells what it has in the user data with which it joins; the leader assigns. It takes for granted that
// all members name the same topics, as Group demands; where they differ for a while, nobody gets a topic not named.
type sticky struct {
	mu      sync.Mutex       // guards the rest
	owned   map[string][]int // of the last generation
	starved bool             // this member was the leader, and had nothing to assign
}

// ProtocolName keeps members with another idea of the user data apart.
func (*sticky) ProtocolName() string { return "distributor-sticky" }

// UserData tells the group what this member has.
func (s *sticky) UserData() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.owned)
}

// own takes note of what a generation gave this member.
func (s *sticky) own(partitions map[string][]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned = partitions
}

// fed says whether there was something to assign, as far as this member knows. When one topic of several is missing, kafka-go has the
// leader assign none of any, to nobody, and tells no error.
func (s *sticky) fed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	starved := s.starved
	s.starved = false
	return !starved
}

// owned gives the partitions of a generation.
func owned(gen *kafkago.Generation) map[string][]int {
	all := make(map[string][]int, len(gen.Assignments))
	for topic, partitions := range gen.Assignments {
		for _, p := range partitions {
			all[topic] = append(all[topic], p.ID)
		}
	}
	return all
}

// AssignGroups gives each member floor(partitions/members) or one more.
func (s *sticky) AssignGroups(members []kafkago.GroupMember, partitions []kafkago.Partition) kafkago.GroupMemberAssignments {
	s.mu.Lock()
	s.starved = len(partitions) == 0
	s.mu.Unlock()
	slices.SortFunc(members, func(a, b kafkago.GroupMember) int { return cmp.Compare(a.ID, b.ID) })
	free := map[TopicPartition]bool{}
	for _, p := range partitions {
		free[TopicPartition{p.Topic, p.ID}] = true
	}
	assigned := make(kafkago.GroupMemberAssignments, len(members))
	count := make(map[string]int, len(members))
	give := func(member kafkago.GroupMember, tp TopicPartition) {
		assigned[member.ID][tp.Topic] = append(assigned[member.ID][tp.Topic], tp.Partition)
		count[member.ID]++
		delete(free, tp)
	}
	share, more := len(free)/len(members), len(free)%len(members)
	for _, m := range members {
		assigned[m.ID] = map[string][]int{}
		for _, tp := range claims(m) {
			switch {
			case !free[tp] || !slices.Contains(m.Topics, tp.Topic) || count[m.ID] > share:
				continue // gone, or another's, or more than its share and one
			case count[m.ID] == share && more == 0:
				continue
			case count[m.ID] == share:
				more--
			}
			give(m, tp)
		}
	}
	for _, p := range partitions {
		tp := TopicPartition{p.Topic, p.ID}
		if !free[tp] {
			continue
		}
		var least *kafkago.GroupMember
		for i, m := range members {
			if slices.Contains(m.Topics, tp.Topic) && (least == nil || count[m.ID] < count[least.ID]) {
				least = &members[i]
			}
		}
		if least != nil {
			give(*least, tp)
		}
	}
	return assigned
}

// claims gives what a member says that it has, in order; nothing if that is not readable.
func claims(m kafkago.GroupMember) []TopicPartition {
	var owned map[string][]int
	if json.Unmarshal(m.UserData, &owned) != nil {
		return nil
	}
	var all []TopicPartition
	for topic, partitions := range owned {
		for _, p := range partitions {
			all = append(all, TopicPartition{topic, p})
		}
	}
	slices.SortFunc(all, TopicPartition.compare)
	return all
}
