// Package state is what the bridge remembers: a compacted topic, one record an object, and its memory.
//
// A Store is the state of one inbox partition, in the state partition of the same number. Opening one takes the
// partition over:
//
//	look     the partition is read up to its end: one made for another number of partitions is refused, untouched
//	init     the broker gives the partition's transactional ID to this owner
//	claim    the first write; once it is acknowledged the broker refuses every write of an older owner
//	restore  what was written since the look is read, up to that claim
//
// From then on an acknowledged write proves ownership, and kafka.ErrFenced means that another owner has taken over: drop the
// partition, publish nothing, call nothing. No transaction is ever open, so readers are never blocked.
//
// Memory changes when a write is acknowledged, never before. The records of one Write are one batch: all of them or
// none. After an error of Write nobody knows whether it landed: the partition has to be given up and taken anew.
//
// One record, control, is about the partition as a whole (control.go); all others are objects of customers.
//
// Values are small JSON without personal data: IDs, hashes, statuses, times. The package knows nothing of the API.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"distributor-bridge/internal/kafka"
)

// claimKey is the key of the record that says who owns the partition. No object's key is like it: they hold a slash.
const claimKey = "claim"

// ErrPartitions is that of a partition whose state was made for another number of inbox partitions: customers would
// be looked for in the wrong ones. The inbox topic must have the number of partitions that it had.
var ErrPartitions = errors.New("the state was made for another number of inbox partitions")

// Config says which partition to open, and as whom. All fields but MaxBytes and Progress are required.
type Config struct {
	Client          *kafka.Client
	Topic           string        // the state topic
	Partition       int           // of the inbox, and of the state topic
	Partitions      int           // how many the inbox has: fixed for ever
	TransactionalID string        // the same for all who may own the partition, and for no other partition
	Owner           string        // who claims: for people
	MaxBytes        int           // of one Write, as the topic takes it; 0: Kafka's default, 1 MiB
	Lease           time.Duration // how long an acknowledged write proves ownership, counted from when it was sent
	Committed       int64         // the inbox offset that is committed: none before it is delivered again; 0 if none is

	// Progress is told of each record that is read while the partition is taken: its size in bytes, and the share, up to 1,
	// of what is to be read that is behind it. Default: nobody.
	Progress func(size int, share float64)
}

// Store is the state of one partition, owned. What it gives may be asked for from many goroutines; Write as well, for
// different objects.
type Store struct {
	cfg      Config
	producer producer
	claimant int64 // while it is taken: the producer ID of the last claim; or nobody

	memory *memory

	controlling chan struct{} // capacity 1: full while control is being written, which may take as long as the brokers are away

	mu      sync.RWMutex
	proved  time.Time // when the last acknowledged write was sent
	taken   time.Time // when the transactional ID was taken last
	next    int64     // all before it is in memory, or was overtaken by what is
	control *Control
}

// producer is what a Store needs of a kafka.Producer.
type producer interface {
	Init(ctx context.Context) error
	ID() (id int64, epoch int16)
	Seal(ctx context.Context, old int64, record kafka.Record) error
	Produce(ctx context.Context, records ...kafka.Record) ([]int64, error)
	Close(ctx context.Context) error
}

// nobody is no producer's ID.
const nobody int64 = -1

// retake is after how long the transactional ID is taken again.
const retake = 12 * time.Hour

// claimVersion is that of claims.
const claimVersion = 1

type claim struct {
	Version    int       `json:"v"`
	Partitions int       `json:"partitions"`
	Owner      string    `json:"owner"`
	Time       time.Time `json:"time"`
	Seal       bool      `json:"seal,omitempty"` // it claims nothing: it shuts an older producer ID out
}

// Open takes the partition over and restores its state. Close it after use, also after kafka.ErrFenced.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := newStore(cfg)
	s.producer = cfg.Client.Producer(kafka.ProducerConfig{TransactionalID: cfg.TransactionalID, MaxBatchBytes: cfg.MaxBytes})
	if err := s.take(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("take state %s/%d: %w", cfg.Topic, cfg.Partition, err), s.Close(closing))
	}
	return s, nil
}

func newStore(cfg Config) *Store {
	return &Store{
		cfg: cfg, memory: newMemory(cfg.Committed), claimant: nobody, controlling: make(chan struct{}, 1), control: NewControl(),
	}
}

// take reads before it claims: a claim tells the number of partitions, and a wrong one would stand in the way of the
// right owner for ever. What an older owner writes between the look and the claim is read after the claim.
func (s *Store) take(ctx context.Context) error {
	starts, err := s.cfg.Client.StartOffset(ctx, s.cfg.Topic)
	if err != nil {
		return fmt.Errorf("look for the start: %w", err)
	}
	ends, err := s.cfg.Client.EndOffset(ctx, s.cfg.Topic)
	if err != nil {
		return fmt.Errorf("look for the end: %w", err)
	}
	s.next = ends[s.cfg.Partition]
	if err := s.read(ctx, starts[s.cfg.Partition], s.next); err != nil {
		return err
	}
	return s.own(ctx)
}

// own makes this owner the only one, and restores what others have written up to then.
func (s *Store) own(ctx context.Context) error {
	if err := s.init(ctx); err != nil {
		return err
	}
	next := s.next
	for {
		own, _ := s.producer.ID()
		if s.claimant != nobody && s.claimant != own {
			// The coordinator has forgotten the transactional ID, or used its epochs up: the broker takes the last owner
			// for another producer, and would let it write on.
			if err := s.seal(ctx); err != nil {
				return fmt.Errorf("seal: %w", err)
			}
		}
		end, err := s.claim(ctx)
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		s.claimant = own
		if err := s.read(ctx, next, end); err != nil {
			return err
		}
		if s.claimant == own {
			return nil
		}
		next = end // one with another ID has written meanwhile: it is sealed out too
	}
}

// init takes the transactional ID. Brokers forget one that is not taken for 7 days, so it is taken again long before.
func (s *Store) init(ctx context.Context) error {
	now := time.Now()
	if err := s.producer.Init(ctx); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = now
	return nil
}

func (s *Store) read(ctx context.Context, from, to int64) error {
	restore := s.restore
	if tell := s.cfg.Progress; tell != nil {
		restore = func(r kafka.Record) error {
			tell(len(r.Key)+len(r.Value), float64(r.Offset+1-from)/float64(to-from))
			return s.restore(r)
		}
	}
	if err := s.cfg.Client.Read(ctx, s.cfg.Topic, s.cfg.Partition, from, to, restore); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// claim writes who owns the partition, and gives an offset after which no older owner has written.
func (s *Store) claim(ctx context.Context) (int64, error) {
	now := time.Now()
	record, err := s.claimRecord(now, false)
	if err != nil {
		return 0, err
	}
	offsets, err := s.producer.Produce(ctx, record)
	if err != nil {
		return 0, err
	}
	s.prove(now, offsets)
	if offsets[0] >= 0 {
		return offsets[0], nil
	}
	// A repeat of the claim was told only that the broker has it.
	ends, err := s.cfg.Client.EndOffset(ctx, s.cfg.Topic)
	return ends[s.cfg.Partition], err
}

// seal shuts the last claimant out, which has another producer ID.
func (s *Store) seal(ctx context.Context) error {
	record, err := s.claimRecord(time.Now(), true)
	if err != nil {
		return err
	}
	return s.producer.Seal(ctx, s.claimant, record)
}

func (s *Store) claimRecord(now time.Time, seal bool) (kafka.Record, error) {
	value, err := json.Marshal(claim{
		Version: claimVersion, Partitions: s.cfg.Partitions, Owner: s.cfg.Owner, Time: now.UTC(), Seal: seal,
	})
	return s.record(claimKey, value), err
}

// restore takes one record of the topic into memory.
func (s *Store) restore(r kafka.Record) error {
	key := string(r.Key)
	if key == claimKey {
		var c claim
		if err := json.Unmarshal(r.Value, &c); err != nil {
			return fmt.Errorf("the claim at offset %d is not readable JSON", r.Offset)
		}
		if c.Partitions != s.cfg.Partitions {
			return fmt.Errorf("%w: %d, and the inbox has %d", ErrPartitions, c.Partitions, s.cfg.Partitions)
		}
		if !c.Seal {
			s.claimant = r.ProducerID
		}
		return nil
	}
	if key == controlKey {
		return s.restoreControl(r)
	}
	customer, object, ok := strings.Cut(key, "/")
	if !ok || strings.IndexByte(object, 0) >= 0 {
		return fmt.Errorf("the record at offset %d has a key of an unknown form", r.Offset)
	}
	if r.Value == nil {
		s.memory.remove(customer, object)
		return nil
	}
	rec, err := decode(r.Value)
	if err != nil {
		return fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	s.memory.restored(customer, object, rec, r.Value)
	return nil
}

// Retake takes the partition over again after a rebalance in which it was kept: what others have written in between is
// read. What was under way meanwhile is in doubt from now on. No Write may be under way. After an error the Store has to be
// closed.
func (s *Store) Retake(ctx context.Context) error {
	s.memory.doubt()
	if err := s.own(ctx); err != nil {
		return fmt.Errorf("take state %s/%d again: %w", s.cfg.Topic, s.cfg.Partition, err)
	}
	return nil
}

// Get gives the record of a customer's object, not to be changed; nil if there is none.
func (s *Store) Get(customer, key string) *Record { return s.memory.get(customer, key) }

// Edit gives a copy of the record of a customer's object, to be changed and written; a new one if there is none. Object and
// lists are shared with the record: they can be replaced, not changed in place; Put, Drop and Remember keep to that.
func (s *Store) Edit(customer, key string) *Record {
	if r := s.Get(customer, key); r != nil {
		return r.share()
	}
	return NewRecord()
}

// Keys gives the keys of a customer's objects, sorted.
func (s *Store) Keys(customer string) []string { return s.memory.keys(customer) }

// Live gives those records of a customer for which something is to be done or has only begun, and some others, sorted by
// key.
func (s *Store) Live(customer string) []Entry { return s.memory.live(customer) }

// Held gives how many events are held: those that cannot finish now, and those behind them.
func (s *Store) Held() int {
	s.memory.mu.RLock()
	defer s.memory.mu.RUnlock()
	return s.memory.held
}

// Len gives the number of objects.
func (s *Store) Len() int {
	s.memory.mu.RLock()
	defer s.memory.mu.RUnlock()
	return s.memory.records
}

// Highest gives the highest inbox offset that the state knows of; -1 if it knows of none.
func (s *Store) Highest() int64 {
	seen := s.Control().Seen
	s.memory.mu.RLock()
	defer s.memory.mu.RUnlock()
	return max(seen, s.memory.highest)
}

// Customers gives all customers of the partition, sorted.
func (s *Store) Customers() []string { return s.memory.ids(func(*customer) bool { return true }) }

// Busy gives the customers for whom something is to be done, sorted.
func (s *Store) Busy() []string {
	return s.memory.ids(func(c *customer) bool {
		return slices.ContainsFunc(c.live, func(e liveEntry) bool { return len(e.Record.Work)+len(e.Record.Behind) > 0 })
	})
}

// Committed tells that an inbox offset has been committed: what ended before it is not asked for again.
func (s *Store) Committed(offset int64) { s.memory.commit(offset) }

// Write writes records of one customer, each key once, as one batch, and changes memory once it is acknowledged. The
// records belong to the Store from then on. After an error the partition has to be given up.
func (s *Store) Write(ctx context.Context, customer string, entries ...Entry) error {
	now := time.Now()
	r := rooms.Get().(*room)
	for _, e := range entries {
		if err := s.encode(r, customer, e); err != nil {
			return fmt.Errorf("encode state: %w", err)
		}
	}
	offsets, err := s.producer.Produce(ctx, r.batch...)
	if err != nil {
		return fmt.Errorf("write state %s/%d: %w", s.cfg.Topic, s.cfg.Partition, err) // Kafka's client may keep r
	}
	r.leave()
	s.prove(now, offsets)
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	for _, e := range entries {
		s.memory.set(customer, e.Key, e.Record)
	}
	return nil
}

// room is memory to encode in. How long a record is, is known only then, and nobody needs its bytes once it is written.
type room struct {
	bytes []byte
	batch []kafka.Record
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// leave gives the room back, unless a rare large record has made it large.
func (r *room) leave() {
	if cap(r.bytes) <= 64<<10 {
		r.bytes, r.batch = r.bytes[:0], r.batch[:0]
		rooms.Put(r)
	}
}

// encode adds the record of an entry: key and value in one piece of memory. Should that grow, the records before keep what
// they had.
func (s *Store) encode(r *room, customer string, e Entry) error {
	from := len(r.bytes)
	buf := append(append(append(r.bytes, customer...), '/'), e.Key...)
	n := len(buf)
	buf, err := e.Record.encode(buf)
	r.bytes = buf
	r.batch = append(r.batch, kafka.Record{
		Topic: s.cfg.Topic, Partition: s.cfg.Partition, Key: buf[from:n:n], Value: buf[n:len(buf):len(buf)],
	})
	return err
}

// Close waits for writes under way, or until ctx ends.
func (s *Store) Close(ctx context.Context) error {
	if err := s.producer.Close(ctx); err != nil {
		return fmt.Errorf("close state %s/%d: %w", s.cfg.Topic, s.cfg.Partition, err)
	}
	return nil
}

func (s *Store) record(key string, value []byte) kafka.Record {
	return kafka.Record{Topic: s.cfg.Topic, Partition: s.cfg.Partition, Key: []byte(key), Value: value}
}
