package state

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Ready proves ownership, if need be by a claim, and gives until when calls with an effect may be sent.
func (s *Store) Ready(ctx context.Context) (until time.Time, err error) {
	if until = s.until(); time.Until(until) > s.cfg.Lease/4 {
		return until, nil
	}
	if err := s.Renew(ctx); err != nil {
		return time.Time{}, err
	}
	return s.until(), nil
}

// Idle renews the claim if half of the lease has gone by without a write: so an owner that others have taken the place of
// learns it although it has nothing to do. Twice a day it takes the transactional ID again, lest brokers forget it. It also
// tidies memory up.
func (s *Store) Idle(ctx context.Context) error {
	s.memory.tidy()
	s.mu.RLock()
	old := time.Since(s.taken) > retake
	s.mu.RUnlock()
	if old {
		if err := s.init(ctx); err != nil { // which a newer owner has made impossible
			return err
		}
		return s.Renew(ctx)
	}
	if time.Until(s.until()) > s.cfg.Lease/2 {
		return nil
	}
	return s.Renew(ctx)
}

func (s *Store) until() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.proved.Add(s.cfg.Lease)
}

// Renew writes a claim, and so proves that the partition is still owned.
func (s *Store) Renew(ctx context.Context) error {
	if _, err := s.claim(ctx); err != nil {
		return fmt.Errorf("renew the claim of state %s/%d: %w", s.cfg.Topic, s.cfg.Partition, err)
	}
	return nil
}

// prove takes note of an acknowledged write: when it was sent, and where it is.
func (s *Store) prove(sent time.Time, offsets []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent.After(s.proved) {
		s.proved = sent
	}
	s.next = max(s.next, slices.Max(offsets)+1)
}
