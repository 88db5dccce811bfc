package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
)

// gather takes all that is to be seen of what the members did.
func (r *trial) gather(ctx context.Context) (proof, error) {
	p := proof{emitted: r.load.all()}
	names := r.cfg.Topics.Names()
	r.times, r.firsts = map[int][]time.Time{}, nil
	had := map[eventIdentity]bool{} // a result
	err := errors.Join(
		r.each(ctx, names.Inbox, func(rec kafka.Record) {
			p.inbox = append(p.inbox, inboxEvent{
				eventIdentity{headerOf(rec, "ce_source"), headerOf(rec, "ce_id")}, rec.Partition, rec.Offset,
			})
		}),
		r.each(ctx, names.Results, func(rec kafka.Record) {
			r.times[rec.Partition] = append(r.times[rec.Partition], rec.Time)
			of := eventIdentity{headerOf(rec, "ce_causationsource"), headerOf(rec, "ce_causationid")}
			if !had[of] { // an event's results are all in one partition
				had[of], r.firsts = true, append(r.firsts, rec.Time)
			}
			p.results = append(p.results, resultSeen{
				id: headerOf(rec, "ce_id"), typ: bare(headerOf(rec, "ce_type")), digest: digestOf(rec), cause: of,
			})
		}),
		r.each(ctx, names.DeadLetters, func(rec kafka.Record) { p.dead = append(p.dead, letterOf(rec).String()) }),
		r.seen(ctx, &p),
	)
	if err != nil {
		return proof{}, err
	}
	p.state, err = r.records(ctx)
	return p, err
}

// each gives all records of a topic, in the order of its partitions.
func (r *trial) each(ctx context.Context, topic string, each func(kafka.Record)) error {
	all := &tail{client: r.client, topic: topic, at: map[int]int64{}}
	return all.read(ctx, each)
}

// seen takes what the API has seen, but for what upstream did by hand: those calls have keys of their own.
func (r *trial) seen(ctx context.Context, p *proof) error {
	var stats sandbox.Stats
	var calls []sandbox.Call
	var effects []sandbox.Effect
	var doubles [][]sandbox.Effect
	err := errors.Join(
		r.api.ask(ctx, "/sandbox/stats", &stats), r.api.ask(ctx, "/sandbox/calls", &calls),
		r.api.ask(ctx, "/sandbox/ledger", &effects), r.api.ask(ctx, "/sandbox/doubles", &doubles),
	)
	if err != nil {
		return err
	}
	made := 0
	for _, n := range stats.Calls {
		made += n
	}
	if made > len(calls) {
		return fmt.Errorf("the API remembers %d of %d calls: that is too few for an audit", len(calls), made)
	}
	byHand := func(key string) bool { return key == "" || r.load.byHand[key] }
	p.calls = slices.DeleteFunc(calls, func(c sandbox.Call) bool { return byHand(c.Key) })
	p.effects = slices.DeleteFunc(effects, func(e sandbox.Effect) bool { return byHand(e.Key) })
	p.doubles = len(doubles)
	return nil
}

// digestOf is of all that a consumer of the record sees.
func digestOf(rec kafka.Record) string {
	h := sha256.New()
	add := func(b []byte) {
		fmt.Fprintf(h, "%d %t ", len(b), b == nil)
		h.Write(b)
	}
	add(rec.Key)
	add(rec.Value)
	for _, header := range rec.Headers {
		add([]byte(header.Key))
		add(header.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// pauses gives, for each disturbance, the longest time without a result: of the partition with the longest, and over all.
func pauses(times map[int][]time.Time, disturbed []stretch) (partition, all []time.Duration) {
	var together []time.Time
	for _, p := range slices.Sorted(maps.Keys(times)) {
		slices.SortFunc(times[p], time.Time.Compare)
		together = append(together, times[p]...)
	}
	slices.SortFunc(together, time.Time.Compare)
	for _, s := range disturbed {
		worst := time.Duration(0)
		for _, of := range times {
			worst = max(worst, pause(of, s))
		}
		partition, all = append(partition, worst), append(all, pause(together, s))
	}
	return partition, all
}

// pause gives the longest time between two that follow each other, of those that lie in s, wholly or in part.
func pause(times []time.Time, s stretch) time.Duration {
	longest := time.Duration(0)
	for i := 1; i < len(times); i++ {
		if times[i].After(s.from) && times[i-1].Before(s.to) {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
	}
	return longest
}

// middle gives the median.
func middle(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
