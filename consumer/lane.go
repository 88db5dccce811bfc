package consumer

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// lane is the work of one customer: one thing at a time, the inbox's records in their order, what is held in between.
//
// queue, queued, running, paused, gated, seated, ahead, missed, crowded, called, released, waits, hinted, wake, slot and rank belong
// to the partition's mutex; hand is for all who look, and news says what is. place is given under the mutex, and given back by the
// worker. The rest belongs to the worker that runs the lane, and while none does to whoever holds the mutex.
type lane struct {
	customer string
	queue    []kafka.Record // taken from the inbox, not worked on yet
	queued   bool           // it is among those that are ready
	running  bool
	paused   bool      // it waits out a short trouble, or at the gate: nothing but its alarm, or the gate, starts it
	gated    bool      // it waits at the gate
	seated   bool      // its follow-up waits at the gate, beside what else the lane does
	ahead    bool      // the follow-up's turn has come too early: it is seated before all others
	missed   bool      // it came while the lane was at something else
	crowded  bool      // its first record cannot be taken: too many of that subject are held
	called   bool      // while it ran: there is room for its attempt
	released bool      // while it ran: a type has not paused any more
	waits    bool      // its follow-up waits for a place
	hinted   []string  // keys of records about which hints came while it ran
	wake     time.Time // when to run the lane again; zero: only for a record
	slot     int       // its place among the alarms, from 1 on; 0: it has none
	rank     rank      // its place among those that are ready, or the last that it had

	hand  hand
	news  news
	pass  Pass        // the gate's, for its next attempt or the present one; nil: it has none
	place atomic.Bool // it has a place for a follow-up
	task  *task       // what a pause has interrupted
	items []*item     // what the customer's records hold, by offset
	// owed is the inbox offset up to which an owner before this one has recorded outcomes that it may not have published; -1 if
	// there are none. Until it is delivered again no item goes on: news of an object must not come before what made it.
	owed int64
	// parked is until when it waits for room for an attempt; zero: it does not. waiter belongs to the floods' mutex.
	parked time.Time
	waiter *waiter
}

func newLane(customer string) *lane {
	return &lane{customer: customer, owed: -1, rank: rank{offset: -apart}}
}

// item is work in a record that the lane has to come back to: held events, follow-ups, and the first of those behind.
type item struct {
	key    string // of the record
	offset int64
	follow string
	behind bool

	ready   bool      // it was woken
	due     time.Time // when to look at it again; zero: only when it is woken
	looked  time.Time // of a follow-up: when its last attempt began
	backoff *backoff.ExponentialBackOff
	tried   time.Time // when it last ended in a retry
}

// itemName tells the items of one record apart.
type itemName struct {
	offset int64
	follow string
	behind bool
}

func (it *item) name() itemName { return itemName{it.offset, it.follow, it.behind} }

// sync brings the lane's items up to what the record at key now holds. What is there already keeps its schedule.
func (l *lane) sync(key string, r *state.Record) {
	if len(l.items) == 0 && len(r.Work) == 0 && len(r.Behind) == 0 {
		return
	}
	have := make(map[itemName]*item, len(l.items))
	items := make([]*item, 0, len(l.items)+1)
	for _, it := range l.items {
		if it.key != key {
			items = append(items, it)
			continue
		}
		have[it.name()] = it
	}
	for _, w := range r.Work {
		if isOpen(w) {
			continue // its record is in the inbox, not done: it is delivered, or under way here
		}
		it := &item{key: key, offset: w.Offset, follow: w.Follow}
		if known := have[it.name()]; known != nil {
			it = known
		}
		it.ready = it.ready || w.Outcome != nil
		if it.due.IsZero() {
			it.due = w.Due
		}
		items = append(items, it)
	}
	if len(r.Behind) > 0 { // the first only: there may be thousands, and they go one by one
		it := &item{key: key, offset: r.Behind[0], behind: true}
		if known := have[it.name()]; known != nil {
			it = known
		}
		items = append(items, it)
	}
	slices.SortStableFunc(items, func(a, b *item) int { return cmp.Compare(a.offset, b.offset) })
	l.items = items
}

// isOpen says whether w is an event under attempt that was never held.
func isOpen(w attempt.Work) bool {
	return w.Follow == "" && w.Held == outcome.Done && w.Outcome == nil
}

// item gives the lane's item of that name, made if it is not there.
func (l *lane) item(key string, offset int64, follow string) *item {
	i := slices.IndexFunc(l.items, func(it *item) bool {
		return it.key == key && it.offset == offset && it.follow == follow && !it.behind
	})
	if i >= 0 {
		return l.items[i]
	}
	it := &item{key: key, offset: offset, follow: follow}
	l.items = append(l.items, it)
	return it
}

// next picks the item to go on with: what is recorded and not yet published; events that wait and were woken, and of each
// subject the first that retries, then what is behind it, by offset; follow-ups. nil if none can go on now.
func (l *lane) next(get func(key string) *state.Record, now time.Time) *item {
	var event, follow *item
	for _, it := range l.items {
		r := get(it.key)
		if it.behind {
			if event == nil && !blocked(r, it.offset) && !crowded(r) {
				event = it
			}
			continue
		}
		w := r.Work[r.Find(it.offset, it.follow)]
		switch due := it.ready || !it.due.IsZero() && !it.due.After(now); {
		case !due:
		case w.Outcome != nil:
			return it
		case it.follow != "" && follow == nil:
			follow = it
		case it.follow == "" && event == nil && resumable(r, w):
			event = it
		}
	}
	if event != nil {
		return event
	}
	return follow
}

// resumable says whether a held event may go on once its time has come: be attempted, or if it is unknown be given up. One that
// waits stays behind an earlier one in doubt, too: of two redemptions that waited for their turn, the first may have been sent and
// not be answered.
func resumable(r *state.Record, w attempt.Work) bool {
	return w.Held == outcome.Unresolved || (w.Held == outcome.Waiting || w.Held == outcome.Retrying) &&
		(w.Intent != nil || !blocked(r, w.Offset))
}

// How much a subject's record may hold: held events whole (some hundred bytes each), then bare offsets.
const (
	mostHeld   = 200
	mostBehind = 10_000
)

// crowded says whether a record holds as many events as it may: later ones stay behind as bare offsets until there is room.
func crowded(r *state.Record) bool { return len(r.Work) >= mostHeld }

// blocked says whether an event of the record's subject before offset is retrying or unknown: what came later stays
// behind it.
func blocked(r *state.Record, offset int64) bool {
	return slices.ContainsFunc(r.Work, func(w attempt.Work) bool {
		return w.Follow == "" && w.Offset < offset && (w.Held == outcome.Retrying || w.Held == outcome.Unresolved)
	})
}

// woken marks the items that wait for one of the changed objects. freed says that a task of the customer has ended.
func (l *lane) woken(get func(key string) *state.Record, changed map[string]bool, freed bool) {
	for _, it := range l.items {
		if it.behind {
			continue
		}
		r := get(it.key)
		w := r.Work[r.Find(it.offset, it.follow)]
		if w.Held != outcome.Waiting {
			continue
		}
		if changed[w.On] {
			it.ready = true
		}
		if freed && w.On == onPositions {
			it.ready = true
			freed = false // the first only: it passes the turn on if it cannot use it
		}
	}
}

// wakeAll marks all that waits for an object. A lane that begins does not know what changed before: the write of a change
// is durable, and whom it woke is not.
func (l *lane) wakeAll(get func(key string) *state.Record) {
	for _, it := range l.items {
		if it.behind {
			continue
		}
		r := get(it.key)
		w := r.Work[r.Find(it.offset, it.follow)]
		it.ready = it.ready || w.Held == outcome.Waiting && w.On != ""
	}
}

// earliest gives when the lane's next item is due; zero if none is. What cannot go on before another item does is not
// asked: that one's turn is its turn. While a follow-up waits for a place, or at the gate, no time brings it on.
func (l *lane) earliest(get func(key string) *state.Record) time.Time {
	var first time.Time
	for _, it := range l.items {
		if it.due.IsZero() || !first.IsZero() && !it.due.Before(first) || (l.waits || l.seated) && it.follow != "" {
			continue
		}
		r := get(it.key)
		if w := r.Work[r.Find(it.offset, it.follow)]; it.follow != "" || resumable(r, w) {
			first = it.due
		}
	}
	return first
}
