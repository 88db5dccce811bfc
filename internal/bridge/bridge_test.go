package bridge_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// effectsOfStory are those that the story and its positions have at the API, each once.
var effectsOfStory = map[string]int{
	"create_document": 2*2 + 1 + 1 + 2, "create_investor": 2, "create_identification": 2, "create_benefiting_persons": 1,
	"create_managed_wallet": 2, "create_generic_wallet": 1, "update_investor": 1, "create_investment": 2, "create_credit": 2,
	"create_redemption": 1, "create_transfer": 1,
}

func TestStory(t *testing.T) {
	t.Run("pipes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { tellStory(t, newPipes(t, sandbox.Config{})) })
	})
	t.Run("sockets", func(t *testing.T) { tellStory(t, newSockets(t, sandbox.Config{})) })
}

func tellStory(t *testing.T, w *world) {
	m := w.start()
	events, want := story()
	w.emit(events...)
	w.await(want...)
	events, want = positions()
	w.emit(events...)
	w.await(want...)
	m.stop()
	if got := w.effects(); !maps.Equal(got, effectsOfStory) {
		t.Errorf("effects: %v, want %v", got, effectsOfStory)
	}
	if doubles := w.api.Doubles(); len(doubles) > 0 {
		t.Errorf("doubled effects: %v", doubles)
	}
}

// An order that waited too long is given up, and leaves nothing behind: a corrected one may come in its place.
func TestExpiredOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		m := w.start(func(cfg *bridge.Config) { cfg.Rules.MaxWait = time.Hour })
		w.emit(event("early", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
		w.await("early event.waiting", "early event.rejected")
		w.emit(
			event("person", schemas.TypeCustomerVerified, emitted, verified("p1")),
			event("corrected", schemas.TypeOrderPaid, emitted, order("p1", "o1", 200)),
		)
		w.await("corrected credit.succeeded")
		m.stop()
		wantLetters(t, w, map[string]string{"early": "expired "}, 1)
	})
}

// A bridge whose own topics are missing, or have another number of partitions, says so before it does anything.
func TestTopicsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*bridge.Config)
		want   []string
	}{
		{"none of them", func(cfg *bridge.Config) { cfg.Topics.Prefix = "nosuch." },
			[]string{"topic nosuch.inbox does not exist", "topic nosuch.results does not exist", "topics create"}},
		{"one of them", func(cfg *bridge.Config) { cfg.Topics.Results = "nosuch" },
			[]string{"nosuch does not exist: run distributor-bridge topics create"}},
		{"partitions", func(cfg *bridge.Config) { cfg.Topics.Partitions = 3 },
			[]string{"has 2 partitions, topics.partitions says 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{})
				w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
				m := w.start(c.change)
				<-m.done
				for _, want := range c.want {
					if m.err == nil || !strings.Contains(m.err.Error(), want) {
						t.Errorf("it ended with %v, want it to tell: %s", m.err, want)
					}
				}
				if n := len(w.api.Calls()); n > 0 {
					t.Errorf("%d calls were made", n)
				}
			})
		})
	}
}

// A bridge that is started before its brokers waits for them, and says so.
func TestBrokersComeLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		begin, dial := time.Now(), w.cfg.Dial
		m := w.start(func(cfg *bridge.Config) {
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if time.Since(begin) < 2*time.Minute {
					return nil, errors.New("connection refused")
				}
				return dial(ctx, network, address)
			}
		})
		w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
		w.await("person wallet.created")
		m.stop()
		if !strings.Contains(w.log.String(), "the brokers do not answer") {
			t.Error("nothing was said while the brokers were not there")
		}
	})
}
