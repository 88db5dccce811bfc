package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"distributor-bridge/internal/broker"
)

// disturb does what the trial is about.
func (r *trial) disturb(ctx context.Context, times int) error {
	once := map[string]func(context.Context) error{
		"rolling": r.restartAll, "kill": r.killOne, "freeze": r.freezeOne, "broker": r.killBroker, "scale": r.scaleOnce,
	}[r.name]
	bar := newCount(r.run.t, r.name, times)
	defer bar.end()
	for i := range times {
		if err := once(ctx); err != nil {
			return fmt.Errorf("%d of %d: %w", i+1, times, err)
		}
		bar.set(i + 1)
	}
	return r.await(ctx, "all members work", r.settled, r.flowing())
}

// some waits for a random time.
func (r *trial) some(ctx context.Context, most time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Duration(r.run.random.Int64N(int64(most)))):
		return nil
	}
}

func (r *trial) anyone() *member { return r.members[r.run.random.IntN(len(r.members))] }

// restartAll stops each member, and starts it anew once it has ended.
func (r *trial) restartAll(ctx context.Context) error {
	for _, m := range r.members {
		if err := r.await(ctx, "all members work", r.settled, r.flowing()); err != nil {
			return err
		}
		if err := r.some(ctx, 2*time.Second); err != nil {
			return err
		}
		began := time.Now()
		if err := m.stop(ctx); err != nil {
			return err
		}
		if err := m.start(); err != nil {
			return err
		}
		if err := r.await(ctx, "all members work after the restart of "+m.name, r.settled, r.flowing()); err != nil {
			return err
		}
		r.disturbed = append(r.disturbed, stretch{began, time.Now()})
	}
	return nil
}

// killOne kills a member: mostly after work has gone on for a while, now and then in the midst of what the kill before has
// caused.
func (r *trial) killOne(ctx context.Context) error {
	if r.run.random.IntN(4) > 0 {
		if err := r.await(ctx, "work goes on after a kill", r.flowing()); err != nil {
			return err
		}
	}
	if err := r.some(ctx, 2*time.Second); err != nil {
		return err
	}
	m, began := r.anyone(), time.Now()
	m.kill()
	if err := m.start(); err != nil {
		return err
	}
	if n := len(r.disturbed); n > 0 {
		r.disturbed[n-1].to = began
	}
	r.disturbed = append(r.disturbed, stretch{began, began.Add(time.Minute)})
	return nil
}

// freezeOne freezes a member until others have its partitions and work on them.
func (r *trial) freezeOne(ctx context.Context) error {
	if err := r.await(ctx, "all members work", r.settled, r.flowing()); err != nil {
		return err
	}
	if err := r.some(ctx, time.Second); err != nil {
		return err
	}
	m, began := r.anyone(), time.Now()
	had, err := r.partitionsOf(ctx, m)
	if err != nil {
		return err
	}
	m.freeze()
	if err := r.await(ctx, "others take the partitions of frozen "+m.name, r.taken(m, had)); err != nil {
		return err
	}
	if err := r.await(ctx, "others work on the partitions of frozen "+m.name, r.flowing(had...)); err != nil {
		return err
	}
	m.thaw()
	if err := r.await(ctx, "all members work after the thaw of "+m.name, r.settled, r.flowing()); err != nil {
		return err
	}
	r.disturbed = append(r.disturbed, stretch{began, time.Now()})
	return nil
}

// killBroker kills the broker and starts it with its data. Members and upstream go on by themselves.
func (r *trial) killBroker(ctx context.Context) error {
	if err := r.await(ctx, "all members work", r.settled, r.flowing()); err != nil {
		return err
	}
	if err := r.some(ctx, time.Second); err != nil {
		return err
	}
	began := time.Now()
	r.run.apache.Kill()
	if err := r.some(ctx, time.Second); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := r.run.apache.Restart(starting); err != nil {
		return err
	}
	answered := time.Now()
	if err := r.await(ctx, "work goes on with the broker", r.flowing()); err != nil {
		return err
	}
	r.away, r.recovered = append(r.away, answered.Sub(began)), append(r.recovered, time.Since(answered))
	r.disturbed = append(r.disturbed, stretch{began, time.Now()})
	return r.await(ctx, "all members work with the broker", r.settled)
}

// partitionsOf gives the inbox partitions that a member has.
func (r *trial) partitionsOf(ctx context.Context, m *member) ([]int, error) {
	members, _, err := r.admin.Members(ctx, r.cfg.Group.Name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(have broker.Member) bool { return have.ClientID == m.name })
	if i < 0 {
		return nil, fmt.Errorf("%s is no member of the group", m.name)
	}
	return members[i].Partitions[r.cfg.Topics.Names().Inbox], nil
}
