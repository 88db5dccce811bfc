package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// Outcome says what became of an item. The set is closed.
type Outcome string

// What became of it.
const (
	NotPut     Outcome = ""            // it was not written
	Written    Outcome = "written"     // it is in the inbox, and has no outcome yet
	EndedDone  Outcome = "done"        // …
	EndedNewer Outcome = "superseded"  // done without a call: something newer had overtaken it
	GoesOn     Outcome = "goes_on"     // the follow-up is followed again
	EndedAgain Outcome = "rejected"    // given up again: Item.Again says why
	EndedHeld  Outcome = "held"        // it waits, retries, is unknown or behind another: Item.Again says why
	EndedIdle  Outcome = "not_current" // done without doing anything: another replay came before
	TooLarge   Outcome = "too_large"   // the inbox does not take it for its size
	Doubtful   Outcome = "in_doubt"    // it was cut off while it was written
)

const slowestLook = 2 * time.Second

// Outcomes are the values of Outcome.
func Outcomes() []Outcome {
	return []Outcome{EndedDone, EndedNewer, GoesOn, EndedHeld, EndedAgain, EndedIdle, TooLarge, Doubtful, Written, NotPut}
}

// good says whether it succeeded. What is held may still do so, but has not.
func (o Outcome) good() bool { return o == EndedDone || o == EndedNewer || o == GoesOn }

// tracker follows what becomes of items in state: that alone tells of all outcomes, and before anything else does.
type tracker struct {
	desk  *Desk
	from  map[int]int64       // state's offsets that were read up to
	of    map[string][]*Item  // by customer
	all   []*Item             // those that are followed
	since map[*Item]time.Time // when it was seen as held first
	order []*Item             // in which they came to an outcome
}

func newTracker(d *Desk, b *Batch) *tracker {
	t := &tracker{desk: d, from: maps.Clone(b.from), of: map[string][]*Item{}, since: map[*Item]time.Time{}}
	for i := range b.Items {
		if b.Items[i].Forecast == Pending {
			t.add(&b.Items[i])
		}
	}
	return t
}

func (t *tracker) add(it *Item) {
	t.all = append(t.all, it)
	t.of[it.Letter.Customer] = append(t.of[it.Letter.Customer], it)
}

// ended counts those that have an outcome.
func (t *tracker) ended() int { return len(t.all) - t.open() }

// open counts those that may still come to another outcome. What has been held for long is no more waited for.
func (t *tracker) open() (n int) {
	for _, it := range t.all {
		if it.Outcome == Written || it.Outcome == EndedHeld && time.Since(t.since[it]) < heldLong {
			n++
		}
	}
	return n
}

// failing gives how many of the last outcomes are no success. What is held is none yet.
func (t *tracker) failing() (bad, of int) {
	last := t.order[max(0, len(t.order)-recent):]
	for _, it := range last {
		if !it.Outcome.good() {
			bad++
		}
	}
	return bad, len(last)
}

// settle looks until at most so many are open. Nothing new for longer than patience is an error.
func (t *tracker) settle(ctx context.Context, most int, patience time.Duration, tell func()) error {
	last, changed := t.ended(), time.Now()
	for pause := lookEvery; t.open() > most; pause = min(2*pause, slowestLook) {
		if err := t.look(ctx); err != nil {
			return err
		}
		tell()
		if n := t.ended(); n != last {
			last, changed, pause = n, time.Now(), lookEvery
		}
		switch {
		case t.open() <= most:
			return nil
		case time.Since(changed) > patience:
			return fmt.Errorf("%w: %d have no outcome, and none has come for %s: does the bridge run? What is written is done when it does",
				ErrStopped, t.open(), patience)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
	return nil
}

// look reads what is new in state. How far the inbox is done is asked for before, so that what it says of a record was in state.
func (t *tracker) look(ctx context.Context) error {
	if len(t.all) == 0 {
		return nil
	}
	done, err := t.desk.cfg.Client.GroupOffsets(ctx, t.desk.cfg.Group, t.desk.cfg.Inbox)
	if err != nil {
		return t.stopped(ctx, err)
	}
	ends, err := t.desk.cfg.Client.EndOffset(ctx, t.desk.cfg.State)
	if err != nil {
		return t.stopped(ctx, err)
	}
	customers := slices.Collect(maps.Keys(t.of))
	cfg := state.ReadConfig{
		Client: t.desk.cfg.Client, Topic: t.desk.cfg.State, From: t.from,
		Partitions: slices.DeleteFunc(partitionsOf(customers, len(ends)), func(p int) bool { return ends[p] <= t.from[p] }),
		Want:       func(customer, _ string) bool { return t.of[customer] != nil },
	}
	if len(cfg.Partitions) > 0 {
		err = state.Read(ctx, cfg, func(customer string, e state.Entry) error {
			for _, it := range t.of[customer] {
				t.see(it, e)
			}
			return nil
		})
	}
	if err != nil {
		return t.stopped(ctx, err)
	}
	for p, end := range ends { // the next look may see a few again: Read went to the end as it was then
		t.from[p] = max(t.from[p], end)
	}
	for _, it := range t.all {
		at := kafka.Partition([]byte(it.Letter.Customer), len(ends))
		if it.Outcome == Written && it.Offset >= 0 && done[at] > it.Offset {
			t.end(it, EndedIdle, "")
		}
	}
	return nil
}

func (t *tracker) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errors.New("what becomes of the replays cannot be read: what is written is done all the same"), err)
}

// see judges an item by a record of its customer.
func (t *tracker) see(it *Item, e state.Entry) {
	if e.Key == it.Letter.Subject {
		switch last := e.Record.Rejection(it.hash, it.Letter.Follow); {
		case last == nil || last.Round < it.Round:
		case last.Closed && it.Forecast == Overtaken:
			t.end(it, EndedNewer, "")
			return
		case last.Closed:
			t.end(it, EndedDone, "")
			return
		default:
			t.end(it, EndedAgain, last.Reason)
			return
		}
		if it.Offset >= 0 && slices.Contains(e.Record.Behind, it.Offset) {
			t.end(it, EndedHeld, "")
		}
	}
	for _, w := range e.Record.Work {
		switch {
		case w.Round != it.Round || w.Event.Hash() != it.hash || w.Held == outcome.Done && w.Outcome == nil:
		case w.Follow != "" && e.Key == it.follow && it.Letter.Follow != "":
			t.end(it, GoesOn, "")
		case w.Follow == "" && it.Letter.Follow == "" && e.Key == it.Letter.Subject && w.Held != outcome.Done:
			t.end(it, EndedHeld, w.Reason)
		}
	}
}

// end remembers an outcome. What is held may come to another, and that to none.
func (t *tracker) end(it *Item, o Outcome, why outcome.Reason) {
	if it.Outcome != Written && it.Outcome != EndedHeld && it.Outcome != EndedIdle {
		return
	}
	if o == EndedHeld && t.since[it].IsZero() {
		t.since[it] = time.Now()
	}
	if o != EndedHeld && o != it.Outcome {
		t.order = append(t.order, it)
	}
	it.Outcome, it.Again = o, why
}
