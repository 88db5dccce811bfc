package bridge_test

import (
	"maps"
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
