package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

const (
	// standstill is how long there may be no result and no other sign of progress: far more than anything takes.
	standstill = 2 * time.Minute
	// longest is how long anything may take that makes progress.
	longest = 6 * time.Minute
	// lookLimit is how long one look may take: the broker may be away.
	lookLimit = 10 * time.Second
	lookEvery = 100 * time.Millisecond
)

// condition says what is still missing; nothing if it is so. An error is that of a broker or an API that does not answer now.
type condition func(ctx context.Context) (missing string, err error)

// await looks until all is so. It is an error if nothing moves for standstill, or a member has ended by itself.
func (r *trial) await(ctx context.Context, what string, looks ...condition) error {
	began, moved := time.Now(), time.Now()
	last := ""
	for {
		missing := ""
		for _, l := range looks {
			if missing = r.lookOnce(ctx, l); missing != "" {
				break
			}
		}
		if missing == "" {
			return nil
		}
		if sign := missing + r.sign(ctx); sign != last {
			last, moved = sign, time.Now()
		}
		for _, m := range r.members {
			if err := m.trouble(); err != nil {
				return fmt.Errorf("awaited that %s: %w", what, err)
			}
		}
		switch {
		case time.Since(moved) > standstill:
			return fmt.Errorf("awaited that %s: nothing has moved for %s: %s", what, standstill, missing)
		case time.Since(began) > longest:
			return fmt.Errorf("awaited that %s: not after %s: %s", what, longest, missing)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("awaited that %s (%s): %w", what, missing, context.Cause(ctx))
		case <-time.After(lookEvery):
		}
	}
}

func (r *trial) lookOnce(ctx context.Context, l condition) string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	missing, err := l(ctx)
	if err != nil {
		return err.Error()
	}
	return missing
}

// sign changes when there are new results.
func (r *trial) sign(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	ends, err := r.client.EndOffset(ctx, r.cfg.Topics.Names().Results)
	if err != nil {
		return ""
	}
	return fmt.Sprint(ends)
}

// results looks for n results in all.
func (r *trial) results(n int) condition {
	return func(ctx context.Context) (string, error) {
		ends, err := r.client.EndOffset(ctx, r.cfg.Topics.Names().Results)
		if err != nil {
			return "", err
		}
		have := int64(0)
		for _, end := range ends {
			have += end
		}
		if have < int64(n) {
			return fmt.Sprintf("%d of %d results", have, n), nil
		}
		return "", nil
	}
}

// flowing looks for more results in each of the partitions than there are when it looks first; without any, in all.
func (r *trial) flowing(partitions ...int) condition {
	var before map[int]int64
	return func(ctx context.Context) (string, error) {
		ends, err := r.client.EndOffset(ctx, r.cfg.Topics.Names().Results)
		if err != nil {
			return "", err
		}
		if before == nil {
			before = ends
		}
		var still []string
		for p, end := range ends {
			if end == before[p] && (len(partitions) == 0 || slices.Contains(partitions, p)) {
				still = append(still, fmt.Sprint(p))
			}
		}
		if len(still) == 0 {
			return "", nil
		}
		slices.Sort(still)
		return "no result in partitions " + strings.Join(still, ", "), nil
	}
}

// settled looks whether the group consists of the trial's members, and each partition belongs to one of them.
func (r *trial) settled(ctx context.Context) (string, error) {
	members, stable, err := r.admin.Members(ctx, r.cfg.Group.Name)
	if err != nil {
		return "", err
	}
	var have, want []string
	owned := 0
	for _, m := range members {
		have = append(have, m.ClientID)
		owned += len(m.Partitions[r.cfg.Topics.Names().Inbox])
	}
	for _, m := range r.members {
		want = append(want, m.name)
	}
	slices.Sort(have)
	slices.Sort(want)
	switch {
	case !slices.Equal(have, want):
		return fmt.Sprintf("the group has the members %v", have), nil
	case !stable:
		return "the group rebalances", nil
	case owned != r.cfg.Topics.Partitions:
		return fmt.Sprintf("%d partitions have an owner", owned), nil
	}
	return "", nil
}

// callRoll watches the group: a member that was killed, frozen or too slow comes back as another one, and its partitions were
// taken over meanwhile. What it gives ends the watching, and tells how many came after the first ones.
func (r *trial) callRoll(ctx context.Context) func() int {
	ctx, cancel := context.WithCancel(ctx)
	seen, ended := map[string]bool{}, make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			looking, done := context.WithTimeout(ctx, lookLimit)
			members, _, _ := r.admin.Members(looking, r.cfg.Group.Name)
			done()
			for _, m := range members {
				seen[m.ID] = true
			}
			select {
			case <-ctx.Done():
			case <-time.After(lookEvery):
			}
		}
	}()
	return func() int {
		cancel()
		<-ended
		return max(0, len(seen)-r.run.cmd.Members)
	}
}

// taken looks whether others than m have its partitions.
func (r *trial) taken(m *member, partitions []int) condition {
	return func(ctx context.Context) (string, error) {
		members, stable, err := r.admin.Members(ctx, r.cfg.Group.Name)
		if err != nil || !stable {
			return "the group rebalances", err
		}
		left := slices.Clone(partitions)
		for _, have := range members {
			if have.ClientID == m.name {
				return "the group has not put it out", nil
			}
			left = slices.DeleteFunc(left, func(p int) bool {
				return slices.Contains(have.Partitions[r.cfg.Topics.Names().Inbox], p)
			})
		}
		if len(left) > 0 {
			return fmt.Sprintf("nobody has the partitions %v", left), nil
		}
		return "", nil
	}
}

// done looks whether everything is done: all events are in the inbox and committed, and nothing is open in state.
func (r *trial) done(ctx context.Context) (string, error) {
	names := r.cfg.Topics.Names()
	for _, topic := range r.cfg.Topics.Upstream {
		if missing, err := r.lag(ctx, r.cfg.Group.Name+"-intake", topic); missing != "" || err != nil {
			return missing, err
		}
	}
	if missing, err := r.lag(ctx, r.cfg.Group.Name, names.Inbox); missing != "" || err != nil {
		return missing, err
	}
	records, err := r.records(ctx)
	if err != nil {
		return "", err
	}
	open := 0
	for _, rec := range records {
		open += len(rec.Work) + len(rec.Behind)
	}
	if open > 0 {
		return fmt.Sprintf("%d things are open in state", open), nil
	}
	return "", nil
}

// lag tells how much of a topic a group has not committed.
func (r *trial) lag(ctx context.Context, group, topic string) (string, error) {
	ends, err := r.client.EndOffset(ctx, topic)
	if err != nil {
		return "", err
	}
	committed, err := r.client.GroupOffsets(ctx, group, topic)
	if err != nil {
		return "", err
	}
	lag := int64(0)
	for p, end := range ends {
		lag += end - committed[p]
	}
	if lag > 0 {
		return fmt.Sprintf("%d records of %s are not committed", lag, topic), nil
	}
	return "", nil
}

// compaction looks whether the broker's log cleaner has been at each partition of the state topic.
func (r *trial) compaction(ctx context.Context) (string, error) {
	read, written, err := r.eachState(ctx, func(kafka.Record) error { return nil })
	if err != nil {
		return "", err
	}
	r.compacted = 0
	var whole []int
	for p, n := range written {
		if n > 0 && read[p] == n {
			whole = append(whole, p)
		}
		r.compacted += int(n - read[p])
	}
	if len(whole) > 0 {
		slices.Sort(whole)
		return fmt.Sprintf("all records of the partitions %v are still there", whole), nil
	}
	return "", nil
}

// eachState gives all records of the state topic, and for each partition how many there are and were.
func (r *trial) eachState(ctx context.Context, each func(kafka.Record) error) (read, written map[int]int64, err error) {
	topic := r.cfg.Topics.Names().State
	ends, err := r.client.EndOffset(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	starts, err := r.client.StartOffset(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	read = map[int]int64{}
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		err := r.client.Read(ctx, topic, p, starts[p], ends[p], func(rec kafka.Record) error {
			read[p]++
			return each(rec)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return read, ends, nil
}

// records gives what state holds now, by customer and subject.
func (r *trial) records(ctx context.Context) (map[string]*state.Record, error) {
	values := map[string][]byte{}
	_, _, err := r.eachState(ctx, func(rec kafka.Record) error {
		if key := string(rec.Key); strings.Contains(key, "/") { // else it is a claim
			values[key] = rec.Value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	records := make(map[string]*state.Record, len(values))
	for key, value := range values {
		if value == nil {
			continue
		}
		rec := state.NewRecord()
		if err := json.Unmarshal(value, rec); err != nil {
			return nil, errors.New("a record of state is not readable JSON")
		}
		records[key] = rec
	}
	return records, nil
}
