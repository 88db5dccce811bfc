package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Effect is something that a call did. It holds no personal data.
type Effect struct {
	Seq        int       `json:"seq"` // from 1, without gaps
	Time       time.Time `json:"time"`
	Operation  string    `json:"operation"`
	Key        string    `json:"key"`                   // the call's X-Idempotency-Key; empty if done by hand
	ObjectID   string    `json:"object_id"`             // what was made or changed
	Target     string    `json:"target_id,omitempty"`   // what the path names: an investor, an investment
	InvestorID string    `json:"investor_id,omitempty"` // whose it is; empty for documents
	Digest     string    `json:"digest"`                // SHA-256 of the request's body, hex
}

// Call is a request, as it was answered. It holds no personal data.
type Call struct {
	Seq       int           `json:"seq"` // from 1, without gaps
	Time      time.Time     `json:"time"`
	Method    string        `json:"method"`
	Path      string        `json:"path"`
	Operation string        `json:"operation"`
	Key       string        `json:"key,omitempty"`
	Digest    string        `json:"digest"` // SHA-256 of the request's body, hex
	Status    int           `json:"status"` // 0: no answer was given
	Applied   bool          `json:"applied"`
	Replayed  bool          `json:"replayed"`        // answered from the idempotency cache
	Fault     string        `json:"fault,omitempty"` // ID of the fault that struck
	Took      time.Duration `json:"took_ns"`
}

// Stats counts what was called and what it did.
type Stats struct {
	Calls       map[string]int `json:"calls"`    // by operation
	Statuses    map[int]int    `json:"statuses"` // by status; 0: no answer
	Effects     map[string]int `json:"effects"`  // by operation
	Replayed    int            `json:"replayed"`
	InFlight    int            `json:"in_flight"`
	MaxInFlight int            `json:"max_in_flight"`
}

// ledger is what has happened.
type ledger struct {
	effects []Effect
	calls   []Call // a ring of at most limit
	limit   int
	seq     int // of the last call
	stats   Stats
}

func newLedger(limit int) ledger {
	return ledger{limit: limit, stats: Stats{Calls: map[string]int{}, Statuses: map[int]int{}, Effects: map[string]int{}}}
}

func (l *ledger) effect(e Effect) {
	e.Seq = len(l.effects) + 1
	l.effects = append(l.effects, e)
	l.stats.Effects[e.Operation]++
}

// enter counts a call as in flight; those for a token are not.
func (l *ledger) enter(operation string) {
	if operation == opToken {
		return
	}
	l.stats.InFlight++
	l.stats.MaxInFlight = max(l.stats.MaxInFlight, l.stats.InFlight)
}

// leave notes a call that was in flight.
func (l *ledger) leave(c Call) {
	if c.Operation != opToken {
		l.stats.InFlight--
	}
	l.seq++
	c.Seq = l.seq
	if len(l.calls) < l.limit {
		l.calls = append(l.calls, c)
	} else {
		l.calls[(l.seq-1)%l.limit] = c
	}
	l.stats.Calls[c.Operation]++
	l.stats.Statuses[c.Status]++
	if c.Replayed {
		l.stats.Replayed++
	}
}

// Ledger gives every effect, in order.
func (s *Server) Ledger() []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger.effects)
}

// Calls gives the last Config.CallLog requests to the API, in the order in which they ended.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.Clone(s.ledger.calls)
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.Seq, b.Seq) })
	return calls
}

// Stats counts calls and effects since the start, or the last reset.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.ledger.stats
	stats.Calls, stats.Statuses = maps.Clone(stats.Calls), maps.Clone(stats.Statuses)
	stats.Effects = maps.Clone(stats.Effects)
	return stats
}

// Doubles gives the groups of effects that look like one thing done twice: same operation, investor, target and body,
// under different keys, or under one key that was forgotten meanwhile. Whether it was meant twice, the auditor knows.
func (s *Server) Doubles() [][]Effect {
	type identity struct{ operation, investor, target, digest string }
	groups := map[identity][]Effect{}
	var order []identity
	for _, e := range s.Ledger() {
		if e.Key == "" {
			continue
		}
		id := identity{e.Operation, e.InvestorID, e.Target, e.Digest}
		if e.Operation == opCreateInvestor {
			id.investor = "" // is made by the call: every one is another
		}
		if groups[id] == nil {
			order = append(order, id)
		}
		groups[id] = append(groups[id], e)
	}
	var doubles [][]Effect
	for _, id := range order {
		if len(groups[id]) > 1 {
			doubles = append(doubles, groups[id])
		}
	}
	return doubles
}
