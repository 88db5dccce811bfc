package bridge_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// An investment of which nobody knew whether it was made is found by a person, and goes on from there; whatever is tried with other
// data meanwhile, it stays the only one.
func TestDecided(t *testing.T) {
	t.Parallel()
	for _, mended := range []bool{false, true} {
		t.Run("mended "+strconv.FormatBool(mended), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{})
				var mute atomic.Bool
				mute.Store(true)
				w.intercept(func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						if !mute.Load() || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/investments/") {
							next.ServeHTTP(rw, r)
							return
						}
						next.ServeHTTP(httptest.NewRecorder(), r)
						rw.WriteHeader(http.StatusCreated) // and says nothing of what it made
					})
				})
				m := w.start()
				w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
				w.await("person wallet.created")
				w.emit(event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
				w.await("order event.unresolved")
				mute.Store(false)
				about := schemas.CommandResolve{
					By: "alex", Why: "the front end shows it", CustomerID: "p1", Object: "order/o1", Step: "investment",
					Event:    schemas.EventRef{ID: "order", Source: "/upstream/test", Type: "distributor.order.paid"},
					Happened: true, ProviderID: w.made("create_investment"), Reason: "contract_broken",
				}
				if mended {
					w.command(schemas.TypeCommandDiscard, schemas.CommandDiscard{
						By: "alex", Why: "to mend it", CustomerID: "p1", Object: "order/o1", Event: about.Event,
					})
					w.deadLetters(1)
					w.replay("order", 1, func(data string) string { return strings.Replace(data, `"units":300`, `"units":200`, 1) })
					time.Sleep(time.Minute)
					about.Reason = "body_changed"
				}
				w.command(schemas.TypeCommandResolve, about)
				if mended {
					w.deadLetters(2) // the mended one is refused: the step has been made with other data
					w.emit(event("another", schemas.TypeOrderPaid, emitted, order("p1", "o1", 200)))
					w.await("another event.rejected")
					w.replay("order", 2, nil)
				}
				w.await("order investment.created", "order credit.succeeded")
				m.stop()
				if got := w.effects(); got["create_investment"] != 1 || got["create_credit"] != 1 {
					t.Errorf("effects %v, want one investment and one credit", got)
				}
			})
		})
	}
}

// command writes an operator's command about p1 into the inbox.
func (w *world) command(name string, data any) {
	w.t.Helper()
	e, err := w.contract.NewCommand(name, "/bridge", data)
	if err != nil {
		w.t.Fatal(err)
	}
	value, headers := e.Binary()
	w.append(value, headers)
}

// append writes a record of p1 into the inbox.
func (w *world) append(value []byte, headers []kafka.Header) {
	w.t.Helper()
	_, err := w.producer.Produce(context.Background(), kafka.Record{
		Topic: w.cfg.Topics.Names().Inbox, Partition: kafka.Partition([]byte("p1"), w.cfg.Topics.Partitions),
		Key: []byte("p1"), Value: value, Headers: headers,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// deadLetters waits until there are so many dead letters.
func (w *world) deadLetters(n int) []kafka.Record {
	w.t.Helper()
	for range 100 {
		if letters := w.read(w.cfg.Topics.Names().DeadLetters); len(letters) >= n {
			return letters
		}
		time.Sleep(time.Minute)
	}
	w.t.Fatalf("there are not %d dead letters\nlog:\n%s", n, w.log.tail())
	return nil
}

// replay puts the event of p1's first dead letter into the inbox again, as the nth replay.
func (w *world) replay(id string, n int, mend func(string) string) {
	w.t.Helper()
	letters := w.deadLetters(1)
	i := slices.IndexFunc(letters, func(r kafka.Record) bool { return headersOf(r)[producer.HeaderEventID] == id })
	value, headers := letters[i].Value, []kafka.Header{{Key: producer.HeaderReplays, Value: []byte(strconv.Itoa(n))}}
	for _, h := range letters[i].Headers {
		if !strings.HasPrefix(h.Key, "dlq_") || h.Key == producer.HeaderTopic {
			headers = append(headers, h)
		}
	}
	if mend != nil {
		value = []byte(mend(string(value)))
	}
	w.append(value, headers)
}
