package consumer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// fate is what the model knows of an event or a follow-up: one list of them is all of it.
type fate struct {
	key    string
	offset int64
	follow string
	held   outcome.Verdict // Done: only its outcome is still to be told
	behind bool
	on     string
	told   bool // false: news or an outcome is still to be published
	woken  bool
	due    time.Time
}

func (f fate) name() string { return fmt.Sprint(f.key, " ", f.offset, " ", f.follow) }

// laneModel is the lane's promise in a few lines: what is to be done next, out of everything that is known.
type laneModel []*fate

// before gives those of f's subject that came before it and hold it back.
func (m laneModel) heldBack(f *fate) bool {
	return slices.ContainsFunc(m, func(o *fate) bool {
		earlier := o.key == f.key && o.follow == "" && o.offset < f.offset
		return earlier && (o.held == outcome.Retrying || o.held == outcome.Unresolved || o.behind)
	})
}

// rank says how soon f's turn is; 0 is not now.
func (m laneModel) rank(f *fate, now time.Time) int {
	due := f.woken || !f.due.IsZero() && !f.due.After(now)
	switch {
	case !f.behind && !f.told:
		return 1
	case f.behind && !m.heldBack(f):
		return 2
	case f.behind, !due:
		return 0
	case f.follow != "":
		return 3
	case f.held == outcome.Unresolved: // it is given up
		return 2
	case f.held == outcome.Waiting, f.held == outcome.Retrying:
		if !m.heldBack(f) {
			return 2
		}
	}
	return 0
}

// next gives the best: the lowest rank, then the lowest offset. nil if nothing can go on.
func (m laneModel) next(now time.Time) (best *fate) {
	for _, f := range m {
		r := m.rank(f, now)
		if r == 0 {
			continue
		}
		if best == nil || r < m.rank(best, now) || r == m.rank(best, now) && f.offset < best.offset {
			best = f
		}
	}
	return best
}

// record gives what state holds at key.
func (m laneModel) record(key string) *state.Record {
	r := state.NewRecord()
	for _, f := range m {
		switch {
		case f.key != key:
		case f.behind:
			r.Behind = append(r.Behind, f.offset)
		default:
			w := attempt.Work{Offset: f.offset, Follow: f.follow, Held: f.held, On: f.on, Due: f.due}
			if !f.told {
				w.Outcome = &attempt.Outcome{}
			}
			r.Put(w)
		}
	}
	slices.Sort(r.Behind)
	return r
}

var laneKeys = []string{"customer", "order/1", "positions"}

func TestLane(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var m laneModel
		l := newLane("c")
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		offset := int64(0)
		records := map[string]*state.Record{}
		for _, key := range laneKeys {
			records[key] = state.NewRecord()
		}
		get := func(key string) *state.Record { return records[key] }
		write := func(key string) {
			records[key] = m.record(key)
			l.sync(key, records[key])
		}
		schedule := func(t *rapid.T) time.Time {
			if rapid.Bool().Draw(t, "never") {
				return time.Time{}
			}
			return now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "due")) * time.Second)
		}
		add := func(t *rapid.T, f *fate) {
			f.key = rapid.SampledFrom(laneKeys).Draw(t, "key")
			f.offset = offset
			offset++
			m = append(m, f)
			write(f.key)
		}
		t.Repeat(map[string]func(*rapid.T){
			"hold": func(t *rapid.T) {
				held := rapid.SampledFrom([]outcome.Verdict{outcome.Waiting, outcome.Waiting, outcome.Waiting, outcome.Retrying, outcome.Unresolved, outcome.Done}).Draw(t, "held")
				f := &fate{held: held, told: held != outcome.Done && rapid.Bool().Draw(t, "told")}
				switch held {
				case outcome.Waiting:
					f.on, f.due = rapid.SampledFrom([]string{"positions", "positions", "customer", ""}).Draw(t, "on"), schedule(t)
				case outcome.Unresolved:
					f.due = schedule(t)
				case outcome.Retrying:
					f.due = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "due")) * time.Second)
				}
				add(t, f)
			},
			"follow": func(t *rapid.T) {
				add(t, &fate{held: outcome.Waiting, follow: "status", told: rapid.Bool().Draw(t, "told"), due: schedule(t)})
			},
			"behind": func(t *rapid.T) { add(t, &fate{behind: true}) },
			"wake": func(t *rapid.T) {
				changed := rapid.SampledFrom(laneKeys).Draw(t, "changed")
				freed := rapid.Bool().Draw(t, "freed")
				l.woken(get, map[string]bool{changed: true}, freed)
				first := true
				for _, f := range m {
					if f.behind || f.held != outcome.Waiting || f.on == "" {
						continue
					}
					if f.on == changed || freed && first && f.on == "positions" {
						f.woken = true
					}
					if f.on == "positions" {
						first = false // the turn is one's only
					}
				}
			},
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "s")) * time.Second)
			},
			"go on": func(t *rapid.T) {
				want, got := m.next(now), l.next(get, now)
				if want == nil {
					return
				}
				if got == nil {
					t.Fatalf("next gives nothing, want %s", want.name())
				}
				at := slices.IndexFunc(m, func(f *fate) bool {
					return f.key == got.key && f.offset == got.offset && f.follow == got.follow && f.behind == got.behind
				})
				f := m[at]
				if !f.behind && !f.told { // it is told; what has ended goes
					f.told = true
					got.ready = f.woken
					if f.held == outcome.Done {
						m = slices.Delete(m, at, at+1)
					}
					write(f.key)
					return
				}
				if rapid.Bool().Draw(t, "ends") {
					m = slices.Delete(m, at, at+1)
					write(f.key)
					return
				}
				f.behind, f.held, f.on, f.woken, f.due = false, outcome.Retrying, "", false, now.Add(time.Minute)
				if f.follow != "" {
					f.held = outcome.Waiting
				}
				f.told = true
				write(f.key)
				it := l.item(f.key, f.offset, f.follow)
				it.ready, it.due = false, f.due
			},
			"restart": func(t *rapid.T) {
				l = newLane("c")
				for _, key := range laneKeys {
					l.sync(key, records[key])
				}
				l.wakeAll(get)
				for _, f := range m {
					f.woken = !f.behind && f.held == outcome.Waiting && f.on != ""
				}
			},
			"": func(t *rapid.T) { check(t, m, l, get, now) },
		})
	})
}

// check holds the lane to the model: what is next, and when something will be.
func check(t *rapid.T, m laneModel, l *lane, get func(string) *state.Record, now time.Time) {
	name := func(it *item) string {
		if it == nil {
			return "nothing"
		}
		return fate{key: it.key, offset: it.offset, follow: it.follow}.name()
	}
	for _, it := range l.items {
		for _, f := range m {
			same := f.key == it.key && f.offset == it.offset && f.follow == it.follow && f.behind == it.behind
			if same && f.told && !f.behind && it.ready != f.woken {
				t.Fatalf("%s is woken: %v, want %v", f.name(), it.ready, f.woken)
			}
		}
	}
	want := "nothing"
	if f := m.next(now); f != nil {
		want = f.name()
	}
	if got := name(l.next(get, now)); got != want {
		t.Fatalf("next is %s, want %s", got, want)
	}
	if want != "nothing" {
		return
	}
	at := l.earliest(get)
	var first time.Time // the model's: the first moment at which it has something
	for _, f := range m {
		if !f.due.IsZero() && (first.IsZero() || f.due.Before(first)) && m.rank(f, f.due) > 0 {
			first = f.due
		}
	}
	if !at.Equal(first) {
		t.Fatalf("earliest is %v, want %v", at, first)
	}
	if !at.IsZero() && (!at.After(now) || l.next(get, at) == nil) {
		t.Fatalf("at %v, told at %v, next gives nothing: a busy loop", at, now)
	}
}

// What is there keeps its schedule when its record is written for another reason.
func TestSyncKeepsSchedule(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := state.NewRecord()
	r.Put(attempt.Work{Offset: 1, Follow: "status", Held: outcome.Retrying, Due: now})
	r.Put(attempt.Work{Offset: 2, Held: outcome.Done}) // under attempt: not the lane's
	l := newLane("")
	l.sync("order/1", r)
	if len(l.items) != 1 || !l.items[0].due.Equal(now) {
		t.Fatalf("%d items", len(l.items))
	}
	later := now.Add(time.Hour) // as Retry-After asked for, which only memory knows
	l.items[0].due, l.items[0].ready = later, true
	l.sync("order/1", r.Clone())
	if it := l.items[0]; len(l.items) != 1 || !it.due.Equal(later) || !it.ready {
		t.Errorf("due %v, ready %v", it.due, it.ready)
	}
	l.sync("order/1", state.NewRecord())
	if len(l.items) != 0 {
		t.Errorf("%d items of nothing", len(l.items))
	}
}

// A lane has one alarm however often it rests, rings when its time has come, and is let go of when it has none.
func TestOneAlarm(t *testing.T) {
	t.Parallel()
	p := &partition{lanes: map[string]*lane{}}
	l := &lane{customer: "c", owed: -1, task: &task{again: time.Now().Add(time.Hour)}}
	p.lanes["c"] = l
	for range 100 {
		p.rest(l)
	}
	if len(p.alarms) != 1 {
		t.Errorf("%d alarms", len(p.alarms))
	}
	p.ring()
	if len(p.ready.lanes) != 0 {
		t.Error("it rings before its time")
	}
	l.task.again = time.Now()
	p.rest(l)
	p.ring()
	if len(p.ready.lanes) != 1 || p.ready.lanes[0] != l || len(p.alarms) != 0 {
		t.Errorf("%d lanes are started when it is due, %d alarms are left", len(p.ready.lanes), len(p.alarms))
	}
	p.pick().running = false
	l.task.again = time.Now().Add(time.Hour)
	p.rest(l)
	l.task = nil
	p.rest(l)
	if len(p.alarms) != 0 || len(p.lanes) != 0 {
		t.Errorf("%d alarms and %d lanes of nothing", len(p.alarms), len(p.lanes))
	}
}

// Whatever becomes of alarms, they ring in their order, each lane's once.
func TestAlarms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a alarms
		lanes := make([]*lane, 8)
		for i := range lanes {
			lanes[i] = newLane("")
		}
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			l := rapid.SampledFrom(lanes).Draw(t, "lane")
			l.wake = time.Time{}
			if rapid.Bool().Draw(t, "set") {
				l.wake = time.Unix(int64(rapid.IntRange(1, 20).Draw(t, "at")), 0)
			}
			a.set(l)
		}
		want := 0
		for _, l := range lanes {
			if !l.wake.IsZero() {
				want++
			}
		}
		if len(a) != want {
			t.Fatalf("%d alarms, want %d", len(a), want)
		}
		var last time.Time
		for len(a) > 0 {
			l := a[0]
			if l.wake.Before(last) {
				t.Fatal("out of order")
			}
			last, l.wake = l.wake, time.Time{}
			a.set(l)
		}
	})
}
