package bridge_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
)

// Checks run beside a member at work disturb it in nothing: it keeps its partitions, and every effect happens once.
func TestCheckBesideALiveMember(t *testing.T) {
	t.Parallel()
	w := newSockets(t, sandbox.Config{})
	m := w.start()
	ctx, stop := context.WithCancel(t.Context())
	var checks sync.WaitGroup
	rounds := 0
	checks.Go(func() {
		for ctx.Err() == nil {
			bridge.Check(t.Context(), w.cfg, bridge.CheckOptions{}, func(f bridge.Finding) {
				if f.Level == bridge.Wrong || f.Level == bridge.LeftOut {
					t.Errorf("%s %s: %s", f.Level, f.About, f.Text)
				}
			})
			rounds++
		}
	})
	events, want := story()
	w.emit(events...)
	w.await(want...)
	events, want = positions()
	w.emit(events...)
	w.await(want...)
	stop()
	checks.Wait()
	m.stop()
	if got := w.effects(); !maps.Equal(got, effectsOfStory) {
		t.Errorf("effects: %v, want %v", got, effectsOfStory)
	}
	if taken := strings.Count(w.log.String(), "partition taken"); taken != w.cfg.Topics.Partitions {
		t.Errorf("%d partitions were taken, by one member of %d", taken, w.cfg.Topics.Partitions)
	}
	for _, trouble := range []string{"fenced", "rebalance", "given up"} {
		if strings.Contains(w.log.String(), trouble) {
			t.Errorf("the log tells of %q", trouble)
		}
	}
	if rounds == 0 {
		t.Error("nothing was checked")
	}
}
