package state

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Entry is a record under its key, which is relative to the customer.
type Entry struct {
	Key    string
	Record *Record
}

// memory is what a Store knows, in two forms. A record is live while something is to be done for it or may be asked of it
// soon; else it is at rest: as the topic holds it, which takes a third of the space. Get makes it live again, tidy lays it
// to rest.
//
// An outcome (Record.Last) is there to be published again should its offset be delivered again. Once a later offset is
// committed, that outcome has been published, and it leaves memory; and the topic, when the record is written next. What
// can happen then:
//
//	crash, rebalance, Retake   the next owner begins at the committed offset: it asks for no outcome below it. If it has
//	                           restored one from the topic, that one leaves its memory at once
//	commit refused or lost     Committed is not called, the outcome stays
//	record written again       by a follow-up, or for another event: with the outcome while its offset is not committed,
//	                           without it afterwards. Memory and topic are never apart in what can be asked for
//	offsets set back or lost   delivered again, the offset is at or below Seen: done, no call. An outcome that is still
//	                           there is published again with the same bytes, one that is not was published before its
//	                           offset was committed. No result can contradict another
type memory struct {
	mu        sync.RWMutex
	customers map[string]*customer
	records   int
	held      int   // events held and behind, over all records; those have live ones
	highest   int64 // inbox offset known
	committed int64 // no offset below it is delivered again
	used      []ref // live records that tidy has to look at
}

// customer holds the records of one customer. What is in live hides what is at rest under the same key.
type customer struct {
	live []liveEntry // sorted by key
	rest []string    // key, a zero, and the value as in the topic; sorted by key
}

type liveEntry struct {
	Entry
	listed bool // in memory.used
	stay   int  // how many times tidy leaves it alone: it was at rest, and is wanted again, soon again as likely as not
}

// stay is that of a record that was woken: a few seconds, as often as Idle is called.
const stay = 5

type ref struct{ customer, key string }

func newMemory(committed int64) *memory {
	return &memory{customers: map[string]*customer{}, highest: -1, committed: committed}
}

func (c *customer) findLive(key string) (int, bool) {
	i := sort.Search(len(c.live), func(i int) bool { return c.live[i].Key >= key }) // which the compiler inlines
	return i, i < len(c.live) && c.live[i].Key == key
}

func (c *customer) findRest(key string) (int, bool) {
	i, _ := slices.BinarySearch(c.rest, key) // with the zero a key sorts right after itself, and before all that go on from it
	return i, i < len(c.rest) && keyAt(c.rest[i]) == key
}

// keyAt gives the key of a record at rest.
func keyAt(at string) string { return at[:strings.IndexByte(at, 0)] }

// get gives a record; nil if there is none.
func (m *memory) get(id, key string) *Record {
	m.mu.RLock()
	r, resting := m.look(id, key)
	m.mu.RUnlock()
	if !resting {
		return r
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, resting = m.look(id, key); !resting {
		return r
	}
	c := m.customers[id]
	i, _ := c.findRest(key)
	r, err := decode([]byte(c.rest[i][len(key)+1:]))
	if err != nil {
		panic(err) // it was readable when it was laid to rest
	}
	m.set(id, key, r).stay = stay
	return r
}

// look gives a record that is live, or says that it is at rest; m.mu is held.
func (m *memory) look(id, key string) (r *Record, resting bool) {
	c := m.customers[id]
	if c == nil {
		return nil, false
	}
	if i, ok := c.findLive(key); ok {
		return c.live[i].Record, false
	}
	_, resting = c.findRest(key)
	return nil, resting
}

// set takes a record in, live; m.mu is held, or nobody else knows m yet.
func (m *memory) set(id, key string, r *Record) *liveEntry {
	m.highest = max(m.highest, r.Highest())
	c := m.customer(id)
	i, ok := c.findLive(key)
	if !ok {
		if _, known := c.findRest(key); !known {
			m.records++
		}
		c.live = slices.Insert(c.live, i, liveEntry{Entry: Entry{Key: key}})
	} else {
		m.held -= c.live[i].Record.held()
	}
	m.held += r.held()
	c.live[i].Record = r
	if !c.live[i].listed {
		c.live[i].listed = true
		m.used = append(m.used, ref{id, key})
	}
	return &c.live[i]
}

func (m *memory) customer(id string) *customer {
	c := m.customers[id]
	if c == nil {
		c = &customer{}
		m.customers[id] = c
	}
	return c
}

// restored takes in a record of the topic, with its value there, as Open reads it.
func (m *memory) restored(id, key string, r *Record, value []byte) {
	if r.Last != nil && r.Seen < m.committed {
		r.Last, value = nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !r.quiet() {
		m.set(id, key, r)
		return
	}
	m.highest = max(m.highest, r.Highest())
	c := m.customer(id)
	at := resting(key, r, value)
	i, live := c.findLive(key)
	if live {
		m.held -= c.live[i].Record.held()
	}
	if known := c.lay(key, at); !known && !live {
		m.records++
	}
}

// remove forgets a record.
func (m *memory) remove(id, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.customers[id]
	if c == nil {
		return
	}
	i, live := c.findLive(key)
	if live {
		m.held -= c.live[i].Record.held()
		c.live = slices.Delete(c.live, i, i+1)
	}
	j, rest := c.findRest(key)
	if rest {
		c.rest = slices.Delete(c.rest, j, j+1)
	}
	if live || rest {
		m.records--
	}
	if len(c.live)+len(c.rest) == 0 {
		delete(m.customers, id)
	}
}

// commit takes note of the offset that is committed.
func (m *memory) commit(offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.committed = max(m.committed, offset)
}

// tidy lays to rest what was used and is quiet now. It holds the lock for one record at a time.
func (m *memory) tidy() {
	m.mu.Lock()
	used := m.used
	m.used = nil
	m.mu.Unlock()
	again := used[:0] // what has been looked at is not needed any more
	for _, at := range used {
		if !m.settle(at) {
			again = append(again, at)
		}
	}
	clear(used[len(again):])
	if len(again) < cap(again)/4 {
		again = slices.Clone(again) // it was once long
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = append(again, m.used...)
}

// settle takes the outcome from a record whose offset is committed, and lays it to rest if it is quiet then. done is false
// if it has to be looked at again.
func (m *memory) settle(at ref) (done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.customers[at.customer]
	if c == nil {
		return true
	}
	i, ok := c.findLive(at.key)
	if !ok {
		return true
	}
	e := &c.live[i]
	r := *e.Record // a copy, as others may be reading that one: it stays on the stack if the record can rest
	if r.Last != nil && r.Seen < m.committed {
		r.Last = nil // nobody can ask for it any more
	}
	if e.stay == 0 && r.quiet() {
		c.lay(at.key, resting(at.key, &r, nil))
		return true
	}
	if r.Last != e.Record.Last {
		kept := r
		e.Record = &kept
	}
	if e.stay > 0 {
		e.stay--
		return false
	}
	e.listed = r.Last != nil
	return !e.listed
}

// lay lays a record to rest; known is false if none was there under its key.
func (c *customer) lay(key, at string) (known bool) {
	if i, ok := c.findLive(key); ok {
		if c.live = slices.Delete(c.live, i, i+1); len(c.live) == 0 {
			c.live = nil
		}
	}
	i, known := c.findRest(key)
	if known {
		c.rest[i] = at
	} else {
		c.rest = slices.Insert(c.rest, i, at)
	}
	return known
}

// resting gives a record as it is kept at rest. value is how the topic holds it; nil if that holds more.
func resting(key string, r *Record, value []byte) string {
	if value == nil {
		room := rooms.Get().(*room)
		defer room.leave()
		var err error
		if value, err = r.encode(room.bytes); err != nil {
			panic(err) // it has been written
		}
		room.bytes = value
	}
	var b strings.Builder
	b.Grow(len(key) + 1 + len(value))
	b.WriteString(key)
	b.WriteByte(0)
	b.Write(value)
	return b.String()
}

// live gives the live records of a customer, sorted by key.
func (m *memory) live(id string) []Entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.customers[id]
	if c == nil {
		return nil
	}
	entries := make([]Entry, len(c.live))
	for i, e := range c.live {
		entries[i] = e.Entry
	}
	return entries
}

// keys gives the keys of a customer's records, sorted.
func (m *memory) keys(id string) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.customers[id]
	if c == nil {
		return nil
	}
	var keys []string
	for _, e := range c.live {
		keys = append(keys, e.Key)
	}
	for _, at := range c.rest {
		keys = append(keys, keyAt(at))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// ids gives the customers that fit, sorted.
func (m *memory) ids(fits func(*customer) bool) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var ids []string
	for id, c := range m.customers {
		if fits(c) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// doubt marks all open intents as another owner's.
func (m *memory) doubt() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range maps.Values(m.customers) {
		for i, e := range c.live {
			if e.Record.intends() {
				r := e.Record.Clone()
				r.inherit()
				c.live[i].Record = r
			}
		}
	}
}
