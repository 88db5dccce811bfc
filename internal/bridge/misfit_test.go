package bridge_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// TestMisfits sends what cannot be done among what can: it goes to the dead letters with where and why, but no value, and
// all else is done.
func TestMisfits(t *testing.T) {
	t.Run("pipes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { sendMisfits(t, newPipes(t, sandbox.Config{})) })
	})
	t.Run("sockets", func(t *testing.T) { sendMisfits(t, newSockets(t, sandbox.Config{})) })
}

func sendMisfits(t *testing.T, w *world) {
	badIBAN := verified("p2")
	badIBAN.BankAccount.IBAN = "DE89370400440532013001" + mark
	noOffering := order("p1", "o-offering", 5)
	noOffering.Offering = "moon-2027"
	tooMany := schemas.PositionRedeemed{CustomerID: "p1", RedemptionID: "r-many", Offering: "solar-2026", Units: 1_000_000}
	gone := order("p1", "o-gone", 5)
	gone.SignedDocuments[0].Document.Content = ""
	gone.SignedDocuments[0].Document.URL = "https://" + mark + ".example.org/signed?token=" + mark
	unknown := event("unknown", schemas.TypeCustomerVerified, emitted, map[string]string{"customer_id": "p1"})
	unknown.Type, unknown.Name = "distributor.customer.moved", "customer.moved"

	m := w.start()
	w.emit(
		event("person", schemas.TypeCustomerVerified, emitted, verified("p1")),
		event("bad-iban", schemas.TypeCustomerVerified, emitted, badIBAN),
		unknown,
	)
	w.write([]byte("not an event "+mark), nil)
	w.write([]byte(`{"specversion":"1.0","id":"`+mark+`","data":{`), []schemas.Header{
		{Key: "content-type", Value: []byte("application/cloudevents+json")},
	})
	w.emit(
		event("no-offering", schemas.TypeOrderPaid, emitted, noOffering),
		event("gone", schemas.TypeOrderPaid, emitted, gone),
		event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)),
	)
	w.await("person wallet.created", "no-offering event.rejected", "gone event.rejected", "order credit.succeeded")
	w.emit(
		event("too-many", schemas.TypePositionRedeemed, emitted, tooMany),
		event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)),       // upstream repeats itself
		event("order-again", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)), // … under another identity
		event("conflict", schemas.TypeOrderPaid, emitted, order("p1", "o1", 301)),
	)
	w.await("too-many event.rejected", "order-again investment.created", "conflict event.rejected")
	m.stop()

	if got := w.effects(); got["create_investment"] != 1 || got["create_credit"] != 1 || got["create_investor"] != 1 ||
		got["create_redemption"] != 0 {
		t.Errorf("effects: %v", got)
	}
	wantLetters(t, w, map[string]string{
		"bad-iban":    "invalid /data/bank_account/iban",
		"":            "invalid ", // two of them: no event could be read
		"no-offering": "unknown_offering offering",
		"gone":        "document_refused_link ",
		"too-many":    "refused ",
		"conflict":    "conflict ",
	}, 7)
}

// wantLetters compares reason and fields of the dead letters, by event ID, with what they must begin with.
func wantLetters(t *testing.T, w *world, want map[string]string, number int) {
	t.Helper()
	letters := w.read(w.cfg.Topics.Names().DeadLetters)
	if len(letters) != number {
		t.Errorf("%d dead letters, want %d", len(letters), number)
	}
	for _, r := range letters {
		h := headersOf(r)
		id := h[producer.HeaderEventID]
		got := h[producer.HeaderReason] + " " + h[producer.HeaderFields]
		if prefix, ok := want[id]; !ok || !strings.HasPrefix(got, prefix) {
			t.Errorf("dead letter of %q: %q, want it to begin with %q", id, got, prefix)
		}
		if _, err := time.Parse(time.RFC3339Nano, h[producer.HeaderFailed]); err != nil {
			t.Errorf("dead letter of %q: %v", id, err)
		}
		untouched(t, w, r)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if !slices.ContainsFunc(letters, func(r kafka.Record) bool { return headersOf(r)[producer.HeaderEventID] == id }) {
			t.Errorf("no dead letter of %q", id)
		}
	}
}

// untouched compares a dead letter with the record that it says it was.
func untouched(t *testing.T, w *world, letter kafka.Record) {
	t.Helper()
	h := headersOf(letter)
	for _, r := range w.read(h[producer.HeaderTopic]) {
		if h[producer.HeaderPartition] != itoa(int64(r.Partition)) || h[producer.HeaderOffset] != itoa(r.Offset) {
			continue
		}
		if !bytes.Equal(r.Key, letter.Key) || !bytes.Equal(r.Value, letter.Value) {
			t.Errorf("dead letter of %q: key or value is not that of its record", h[producer.HeaderEventID])
		}
		if n := len(r.Headers); len(letter.Headers) < n || !slices.EqualFunc(letter.Headers[:n], r.Headers, sameHeader) {
			t.Errorf("dead letter of %q: the record's headers were touched", h[producer.HeaderEventID])
		}
		return
	}
	t.Errorf("dead letter of %q: there is no record where it says it was", h[producer.HeaderEventID])
}

func sameHeader(a, b kafka.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }

func headersOf(r kafka.Record) map[string]string {
	h := map[string]string{}
	for _, header := range r.Headers {
		h[header.Key] = string(header.Value)
	}
	return h
}
