package consumer

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/state"
)

// A flood of rejections stops itself, lest a bad deploy or a closed campaign drain the inbox into the dead letters:
//
//	count    per member and event type, over a sliding while: how many events ended, and how many of them were rejected
//	pause    at most Config.FloodEvents ended, and half of them rejected: the type pauses, in all partitions of the member
//	keep     written to the state of each of them (paused.go): a pause moves with its partitions, and outlives the member
//	resume   an operator's command in each partition's inbox (command.go) names the pauses that it ends; counts begin at zero
//
// A pause that is only known to the member, and not yet written, holds all the same.

// floods are the counts and pauses of one member, of all event types. They outlive sessions.
type floods struct {
	most   int // ended events, of which half are rejected
	within time.Duration
	owner  string // for people

	mu sync.Mutex // guards what follows
	of map[string]*flood
}

func newFloods(cfg Config) *floods {
	return &floods{most: cfg.FloodEvents, within: cfg.FloodWithin, owner: cfg.Owner, of: map[string]*flood{}}
}

// parts is how many parts the sliding while has: what is older is forgotten part by part.
const parts = 60

// flood is one event type.
type flood struct {
	counts          [parts]struct{ ended, rejected int }
	part            int64 // number of the latest part
	ended, rejected int   // in all parts
	working         int   // attempts under way
	waiting         []*waiter
	pause           *state.Pause // by this member; nil if there is none
	resumed         string       // ID of the last command that made the counts begin anew
}

// waiter is a lane that waits to be let in.
type waiter struct {
	p    *partition
	l    *lane
	gone bool // called already, or let in without a call
}

// flood gives that of a type; f.mu is held.
func (f *floods) flood(typ string) *flood {
	fl := f.of[typ]
	if fl == nil {
		fl = &flood{}
		f.of[typ] = fl
	}
	return fl
}

// slide forgets what is too old.
func (fl *flood) slide(part int64) {
	if part-fl.part >= parts {
		fl.clear()
		fl.part = part
	}
	for ; fl.part < part; fl.part++ {
		oldest := &fl.counts[(fl.part+1)%parts]
		fl.ended -= oldest.ended
		fl.rejected -= oldest.rejected
		*oldest = struct{ ended, rejected int }{}
	}
}

// clear makes the counts begin anew.
func (fl *flood) clear() {
	fl.counts = [parts]struct{ ended, rejected int }{}
	fl.ended, fl.rejected = 0, 0
}

func (f *floods) part() int64 { return time.Now().UnixNano() / int64(max(f.within/parts, 1)) }

// count counts an event that has ended. If that makes its type pause, the pause is given.
func (f *floods) count(typ string, rejected bool) *state.Pause {
	f.mu.Lock()
	fl := f.flood(typ)
	part := f.part()
	fl.slide(part)
	at := &fl.counts[part%parts]
	at.ended++
	fl.ended++
	if rejected {
		at.rejected++
		fl.rejected++
	}
	if fl.pause != nil || !rejected || fl.ended < f.most || 2*fl.rejected < fl.ended {
		f.mu.Unlock()
		return nil
	}
	fl.pause = &state.Pause{
		ID: uuid.NewString(), Since: stamp(), Ended: fl.ended, Rejected: fl.rejected, Owner: f.owner,
	}
	pause := *fl.pause
	called := fl.next(len(fl.waiting)) // to be held
	f.mu.Unlock()
	for _, w := range called {
		w.p.admit(w.l)
	}
	return &pause
}

// room gives how many more attempts may begin: so few that, should all that are under way be rejected, the type pauses with
// the last of them and none too late.
func (fl *flood) room(most int) int {
	return max(most-fl.ended, fl.ended-2*fl.rejected, 1) - fl.working
}

// enter says whether a lane may begin an attempt; then leave has to be called. What has been tried before is let in always: it may
// be what the calls of all others wait for. Another one that is not let in is called when there is room; until then newcomers wait
// behind it.
func (f *floods) enter(typ string, p *partition, l *lane, tried bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flood(typ)
	fl.slide(f.part())
	fl.next(0) // those that do not wait any more
	behind := l.waiter == nil && len(fl.waiting) > 0
	if !tried && (behind || fl.pause != nil || fl.room(f.most) <= 0) {
		if l.waiter == nil || l.waiter.gone {
			l.waiter = &waiter{p: p, l: l}
			fl.waiting = append(fl.waiting, l.waiter)
		}
		return false
	}
	if l.waiter != nil {
		l.waiter.gone = true
		l.waiter = nil
	}
	fl.working++
	return true
}

// leave ends an attempt, and calls who waits, as far as there is room.
func (f *floods) leave(typ string) {
	f.mu.Lock()
	fl := f.flood(typ)
	fl.working--
	f.mu.Unlock()
	for gone := true; gone; {
		f.mu.Lock()
		called := fl.next(fl.room(f.most))
		f.mu.Unlock()
		gone = false
		for _, w := range called { // without the lock: it takes those of partitions
			gone = !w.p.admit(w.l) || gone
		}
	}
}

// next takes the first n who wait.
func (fl *flood) next(n int) []*waiter {
	var called []*waiter
	for len(fl.waiting) > 0 && (len(called) < n || fl.waiting[0].gone) {
		w := fl.waiting[0]
		fl.waiting[0] = nil
		if fl.waiting = fl.waiting[1:]; len(fl.waiting) == 0 {
			fl.waiting = nil
		}
		if !w.gone {
			w.gone = true
			called = append(called, w)
		}
	}
	return called
}

// paused gives the ID of the member's own pause of a type; "" if there is none.
func (f *floods) paused(typ string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.of[typ]; fl != nil && fl.pause != nil {
		return fl.pause.ID
	}
	return ""
}

// pauses gives the member's own pauses, by event type.
func (f *floods) pauses() map[string]state.Pause {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all map[string]state.Pause
	for typ, fl := range f.of {
		if fl.pause == nil {
			continue
		}
		if all == nil {
			all = map[string]state.Pause{}
		}
		all[typ] = *fl.pause
	}
	return all
}

// lift ends the member's own pause of a type if it is one of these.
func (f *floods) lift(typ string, pauses []string) (lifted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flood(typ)
	if lifted = fl.pause != nil && slices.Contains(pauses, fl.pause.ID); lifted {
		fl.pause = nil
		fl.clear()
	}
	return lifted
}

// anew makes the counts of a type begin anew, once for a command: it comes to each partition, and a fault that is still there
// could else reject as many events in each of them.
func (f *floods) anew(typ, command string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.flood(typ); fl.resumed != command {
		fl.resumed = command
		fl.clear()
	}
}

// types gives the event types of pauses, in a fixed order.
func types(pauses map[string]state.Pause) []string { return slices.Sorted(maps.Keys(pauses)) }
