package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// What has been unknown for max_wait, counted from when it became so, is given up, also over restarts, and published once more if
// the topic did not take it: dead letter and result with the same bytes, and never as rejected. What was behind it goes on.
func TestUnknownExpires(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait, w.cfg.RetryMost = 10*time.Minute, 10*time.Second
		broken := time.Now().Add(3 * time.Minute)
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID != "lost" {
				return nil
			}
			_, err := attempt.Do(ctx, run, "investment", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					run.Order("a").Digest, run.Order("a").Event = "d", run.Event().Hash()
					if time.Now().Before(broken) {
						return "", outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
					}
					return "", outcome.Unknown(outcome.ContractBroken, nil)
				})
			return err
		})
		m := w.start(d, false)
		w.put(w.order("c1", "a", "lost"), w.order("c1", "a", "behind1"), w.order("c1", "a", "behind2"), w.order("c1", "b", "other"))
		w.until("others go on", d.finished("other"))
		time.Sleep(time.Until(broken))
		w.until("it is unknown", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 1 })
		since := time.Now()
		w.committed()
		m.stop()
		time.Sleep(8 * time.Minute)
		m = w.start(d, false)
		time.Sleep(time.Minute)
		if h, _ := w.letters(); len(h) > 0 || d.tried("behind1") > 0 {
			t.Fatalf("given up %s after it was unknown, max_wait is 10 minutes", time.Since(since))
		}

		h := w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.dead, Count: -1, Err: kerr.NotLeaderForPartition})
		if err := h.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		m.stop() // recorded, its result published, its dead letter not
		h.Remove()
		time.Sleep(time.Minute)
		w.start(d, false)
		w.until("what is behind it goes on", d.finished("behind1", "behind2"))
		w.until("it is a dead letter", func() bool { h, _ := w.letters(); return len(h) == 1 })
		headers, _ := w.letters()
		if l := headers[0]; l["dlq_reason"] != "unresolved" || l["dlq_class"] != "unknown" || l["dlq_step"] != "investment" || l["dlq_event_id"] != "lost" {
			t.Errorf("dead letter %v", l)
		}
		if n := len(w.named(schemas.TypeEventRejected)); n != 0 {
			t.Errorf("%d times told as rejected: it may have happened", n)
		}
		given := map[string]string{} // by ID
		for _, e := range w.named(schemas.TypeEventUnresolved) {
			data, err := schemas.Data[schemas.EventUnresolved](e)
			if err != nil {
				t.Fatal(err)
			}
			if again := fmt.Sprint(e.Time, string(e.Data)); data.GivenUp && given[e.ID] != "" && given[e.ID] != again {
				t.Errorf("published again with other bytes: %s, %s", given[e.ID], again)
			} else if data.GivenUp {
				given[e.ID] = again
			}
			if data.Reason != schemas.ReasonContractBroken || data.Step != "investment" {
				t.Errorf("told %+v", data)
			}
		}
		if len(given) != 1 {
			t.Errorf("told %d times that it is given up: %v", len(given), given)
		}
	})
}

// A follow-up's call in doubt is given up once, and stays: no later event makes it again, not after a restart either.
func TestUnknownFollowUpExpires(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait = 4 * time.Minute
		sent := 0
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			run.Follow(attempt.KeyCustomer, "wallet")
			return nil
		})
		d.looks = func(ctx context.Context, run *attempt.Run, _ int) error {
			_, err := attempt.Do(ctx, run, "wallet", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					sent++
					return "", outcome.Unknown(outcome.ContractBroken, nil)
				})
			return err
		}
		m := w.start(d, false)
		w.put(w.linked("c1", "e1"))
		w.until("it is unresolved", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 1 })
		time.Sleep(6 * time.Minute)
		for i := range 2 {
			w.put(w.linked("c1", fmt.Sprint("more", i)))
			w.until("the event is done", d.finished(fmt.Sprint("more", i)))
			w.committed()
			m.stop()
			m = w.start(d, false)
			time.Sleep(6 * time.Minute)
		}
		if headers, _ := w.letters(); len(headers) != 1 || headers[0]["dlq_reason"] != "unresolved" || headers[0]["dlq_event_id"] != "e1" {
			t.Errorf("dead letters %v", headers)
		}
		if n := len(w.named(schemas.TypeEventUnresolved)); n != 2 || sent != 1 {
			t.Errorf("told %d times, want that it is unknown and that it is given up; sent %d times", n, sent)
		}
	})
}

// The time of one that waits begins when it first does: a trouble in between does not begin it anew, one before does not count.
func TestMaxWaitIsNotShifted(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait, w.cfg.RetryMost = 12*time.Minute, 6*time.Second
		began := time.Now()
		at := func(from, to time.Duration) bool { return time.Since(began) >= from && time.Since(began) < to }
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			switch run.Event().ID {
			case "wakes":
				run.Customer().KYC = "x"
				return nil
			case "waits":
				if at(0, 3*time.Minute) || at(6*time.Minute, 9*time.Minute) {
					return outcome.Retry(outcome.ClassServer, true, errTrouble)
				}
			}
			return outcome.Wait(outcome.KYCPending, attempt.KeyCustomer)
		})
		w.start(d, false)
		w.put(w.order("c1", "a", "waits"))
		time.Sleep(6*time.Minute + 10*time.Second)
		w.put(w.linked("c1", "wakes")) // into the second trouble
		time.Sleep(8*time.Minute + 40*time.Second)
		if len(d.ends()) != 1 {
			t.Fatalf("%v ended, 14:50 min after it came and less than 12 after it began to wait", d.ends())
		}
		w.until("it is given up", d.finished("waits"))
		if took := time.Since(began); took > 15*time.Minute+30*time.Second {
			t.Errorf("given up after %s: it has waited since the third minute", took)
		}
	})
}

// What is waited for came in time, but the bridge was down, or the API is: it is not given up.
func TestOutageExpiresNothing(t *testing.T) {
	t.Parallel()
	for _, apiDown := range []bool{false, true} {
		t.Run(map[bool]string{false: "bridge down", true: "API down"}[apiDown], func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T, w *world) {
				w.cfg.MaxWait, w.cfg.RetryMost = 3*time.Minute, 10*time.Second
				mended := time.Now()
				d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
					switch {
					case run.Event().ID == "register" && time.Now().Before(mended):
						return outcome.Retry(outcome.ClassServer, true, errTrouble)
					case run.Event().ID == "register":
						run.Customer().InvestorID = "inv"
					case run.Customer().InvestorID == "":
						return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
					}
					return nil
				})
				m := w.start(d, false)
				w.put(w.order("c1", "a", "waits"))
				w.until("it waits", func() bool { return len(w.named(schemas.TypeEventWaiting)) == 1 })
				w.committed()
				if apiDown {
					mended = time.Now().Add(8 * time.Minute)
				} else {
					m.stop()
				}
				time.Sleep(time.Minute)
				w.put(w.linked("c1", "register"))
				time.Sleep(8 * time.Minute)
				if !apiDown {
					m = w.start(d, false)
				}
				w.until("both are done", d.finished("register", "waits"))
				w.committed()
				m.stop()
				if h, _ := w.letters(); len(h) > 0 {
					t.Errorf("dead letters: %v", h)
				}
			})
		})
	}
}

// A partition that holds as many events as it may is fetched no more, says so once, and goes on when there is room; so does who
// takes it over. The others flow.
func TestMaxHeld(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		const limit = 40
		w.cfg.MaxHeld, w.cfg.HoldAfter, w.cfg.RetryMost = limit, time.Millisecond, 5*time.Second
		registry := prometheus.NewRegistry()
		w.cfg.Registry = registry
		var log lockedLog
		w.cfg.Log = w.cfg.Log.Output(&log)
		var mu sync.Mutex // guards mended
		mended := false
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(run.Event().ID, "first") && !mended {
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			}
			return nil
		})
		other := "c2"
		for i := 3; w.partition(other) == w.partition("c1"); i++ {
			other = fmt.Sprint("c", i)
		}
		m := w.start(d, false)
		var all []string
		put := func(customer, order, id string) {
			w.put(w.order(customer, order, id))
			if customer == "c1" {
				all = append(all, id)
			}
		}
		for i := range limit / 4 { // waiting for their first one: behind
			put("c1", fmt.Sprint("o", i), fmt.Sprint("first", i))
			for j := range 3 {
				put("c1", fmt.Sprint("o", i), fmt.Sprint("later", i, "-", j))
			}
		}
		full := func(want float64) func() bool {
			return func() bool { return w.number(registry, "held_full") == want }
		}
		w.until("it is full", full(1))
		put("c1", "x", "stays")
		time.Sleep(150 * time.Second)
		if d.tried("stays") > 0 {
			t.Error("it is fetched although too many are held")
		}
		w.put(w.order(other, "x", "flows"))
		w.until("another partition flows", d.finished("flows"))
		m.stop()
		m = w.start(d, false)
		w.until("it is full for who takes it over", full(1))
		time.Sleep(150 * time.Second)
		if d.tried("stays") > 0 {
			t.Error("it is fetched by who took it over")
		}
		if n := log.count("too many events are held"); n != 2 {
			t.Errorf("told %d times by two members", n)
		}
		if n := w.number(registry, "watchdog_cures_total"); n != 0 {
			t.Errorf("the watchdog cured %v times what is explained", n)
		}
		mu.Lock()
		mended = true
		mu.Unlock()
		w.until("all are done", d.finished(append(all, "stays")...))
		w.until("there is room", full(0))
		for i := range limit / 4 {
			var of []string
			for _, id := range d.ends() {
				if id == fmt.Sprint("first", i) || strings.HasPrefix(id, fmt.Sprint("later", i, "-")) {
					of = append(of, id)
				}
			}
			want := []string{fmt.Sprint("first", i), fmt.Sprint("later", i, "-0"), fmt.Sprint("later", i, "-1"), fmt.Sprint("later", i, "-2")}
			if !slices.Equal(of, want) {
				t.Errorf("ended %v, want %v", of, want)
			}
		}
		m.stop()
	})
}

// lockedLog counts lines.
type lockedLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *lockedLog) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
