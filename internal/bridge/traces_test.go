package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

const (
	traceOfOrder  = "0af7651916cd43dd8448eb211c80319c"
	spanOfOrder   = "b7ad6b7169203331"
	traceOfPerson = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanOfPerson  = "00f067aa0ba902b7"
)

func traceparent(trace, span, flags string) string { return "00-" + trace + "-" + span + "-" + flags }

// TestTraceOverRestarts follows an order's trace from upstream to its last result: it waits for its customer, is attempted by a
// member that is killed after a call had its effect, goes on at a second one an hour later, which is stopped while the investment
// is not paid yet, and ends at a third, whose follow-ups know the trace from state alone.
func TestTraceOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{
			StatusDelay: map[string]time.Duration{sandbox.StatusPaid: 2 * time.Hour},
			Tasks:       map[string]sandbox.TaskRule{"create_credit": {Delay: 10 * time.Minute}},
		})
		spans := collect(w)
		k := &killer{after: true, dead: make(chan struct{})}
		k.strikes = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/investments/") }
		w.intercept(k.handler)
		first := w.start(k.take, func(cfg *bridge.Config) { // the collector gets nothing of the dead either
			dial := cfg.TracesDial
			cfg.TracesDial = func(ctx context.Context, network, address string) (net.Conn, error) {
				return k.dial(ctx, dial, network, address)
			}
		})
		e := event("order", schemas.TypeOrderPaid, emitted, order(tracedCustomer, "o1", 300))
		e.TraceParent = traceparent(traceOfOrder, spanOfOrder, "01")
		w.emit(e)
		w.await("order event.waiting")
		time.Sleep(time.Minute) // what was until now is at the collector
		w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified(tracedCustomer)))
		<-k.dead
		first.cancel()
		<-first.done
		w.intercept(nil)
		time.Sleep(time.Hour)

		second := w.start()
		w.await("order investment.created")
		time.Sleep(time.Minute)
		second.stop()
		time.Sleep(3 * time.Hour)

		third := w.start()
		w.await("order credit.succeeded")
		time.Sleep(time.Minute)
		third.stop()

		up, inbox := w.upstream, w.cfg.Topics.Names().Inbox
		under := func(below ...string) (paths []string) {
			for _, p := range below {
				paths = append(paths, "process "+up+" > send "+inbox+p)
			}
			return paths
		}
		api, results := "/distributor/v2/", "send "+w.cfg.Topics.Names().Results
		spans.want(t, traceOfOrder, spanOfOrder, append([]string{"process " + up}, under("",
			" > process "+inbox,
			" > process "+inbox+" > POST "+api+"documents/",
			" > process "+inbox+" > POST "+api+"investments/",
			" > "+results, // of held work, and of follow-ups, published from state
			" > follow_up status",
			" > follow_up status > GET "+api+"investments/{id}/",
			" > follow_up credit",
			" > follow_up credit > GET "+api+"investments/{id}/",
			" > follow_up credit > POST "+api+"investments/{id}/credits/",
			" > follow_up credit > GET "+api+"investments/{id}/credits/{id}/",
		)...)...)
		spans.discreet(t)
		hop := spans.one(t, traceOfOrder, "send "+inbox)
		told := w.carry(t, "order", traceparent(traceOfOrder, hop, "01"))
		for _, name := range []string{"event.waiting", "investment.created", "credit.started", "credit.succeeded"} {
			if !slices.Contains(told, name) {
				t.Errorf("no %s among the results with the trace: %v", name, told)
			}
		}
		for _, part := range []string{
			`"trace_id":"` + traceOfOrder + `","span_id":"` + spans.last(t, traceOfOrder, "process "+inbox) + `"`,
			`"trace_id":"` + traceOfOrder + `","span_id":"` + spans.last(t, traceOfOrder, "follow_up credit") + `"`,
		} {
			if !strings.Contains(w.log.String(), part) {
				t.Errorf("no line with %s in the log", part)
			}
		}
	})
}

// A result that is published again has the same bytes, whether who publishes it samples or not, and whatever span it is in.
func TestTraceInRepeatedResults(t *testing.T) {
	t.Parallel()
	repeated := 0
	run := func(at int) (points int) {
		synctest.Test(t, func(t *testing.T) {
			w := newPipes(t, sandbox.Config{})
			collect(w)
			k := &killer{at: at, after: true, dead: make(chan struct{})}
			w.intercept(k.handler)
			m := w.start(k.take)
			e := event("person", schemas.TypeCustomerVerified, emitted, verified(tracedCustomer))
			e.TraceParent = traceparent(traceOfPerson, spanOfPerson, "01")
			w.emit(e)
			if at > 0 {
				<-k.dead
				m.cancel()
				<-m.done
				w.intercept(nil)
				m = w.start(func(cfg *bridge.Config) { cfg.Traces.OTLPEndpoint = "" })
			}
			w.await("person customer.registered", "person customer.kyc_changed", "person wallet.created")
			m.stop()
			points = k.count()
			results := w.results() // which fails for one ID with two contents
			repeated += len(w.read(w.cfg.Topics.Names().Results)) - len(results)
			for _, r := range results {
				if !strings.HasPrefix(r.TraceParent, "00-"+traceOfPerson) || r.TraceParent != results[0].TraceParent {
					t.Errorf("killed at %d: result %s has traceparent %s, the first has %s", at, r.Name, r.TraceParent, results[0].TraceParent)
				}
			}
		})
		return points
	}
	for at, points := 1, run(0); at <= points && !t.Failed(); at++ {
		run(at)
	}
	if repeated == 0 {
		t.Error("no result was published twice")
	}
}

// Upstream decides whether a trace of its own is sampled; one that begins here is by configuration. Whatever is decided, and
// without traces at all, what upstream said goes on.
func TestTraceSampling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, parent string
		change       func(*bridge.Traces)
		spans        bool
	}{
		{"upstream's is sampled", traceparent(traceOfPerson, spanOfPerson, "01"), func(c *bridge.Traces) { c.Sample = 0 }, true},
		{"upstream's is not", traceparent(traceOfPerson, spanOfPerson, "00"), func(*bridge.Traces) {}, false},
		{"upstream has none", "", func(*bridge.Traces) {}, true},
		{"upstream has none, nor have we", "", func(c *bridge.Traces) { c.Sample = 0 }, false},
		{"without traces", traceparent(traceOfPerson, spanOfPerson, "01"), func(c *bridge.Traces) { c.OTLPEndpoint = "" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{})
				spans := collect(w)
				c.change(&w.cfg.Traces)
				m := w.start()
				e := event("person", schemas.TypeCustomerVerified, emitted, verified(tracedCustomer))
				e.TraceParent = c.parent
				w.emit(e)
				w.await("person wallet.created")
				m.stop()
				want := c.parent
				if c.spans {
					trace := traceOfPerson
					if c.parent == "" {
						trace = spans.traces()[0]
					}
					want = traceparent(trace, spans.one(t, trace, "send "+w.cfg.Topics.Names().Inbox), "01")
				}
				if has := len(spans.traces()) == 1; has != c.spans {
					t.Errorf("traces %v, want some: %v", spans.traces(), c.spans)
				}
				w.carry(t, "person", want)
				if trace, _, _ := strings.Cut(strings.TrimPrefix(want, "00-"), "-"); trace != "" &&
					!strings.Contains(w.log.String(), `"trace_id":"`+trace+`"`) {
					t.Errorf("the log has no trace_id %s", trace)
				}
			})
		})
	}
}

// A rejected event's dead letter goes on with the trace, intake's as well as the engine's, and the spans say why.
func TestTraceOfDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		spans := collect(w)
		m := w.start()
		e := event("order", schemas.TypeOrderPaid, emitted, order(tracedCustomer, "o1", 300))
		e.TraceParent = traceparent(traceOfOrder, spanOfOrder, "01")
		unknown := order(tracedCustomer, "o1", 300)
		unknown.Offering = "nothing-we-know"
		e.Data = event("order", schemas.TypeOrderPaid, emitted, unknown).Data
		w.emit(e)
		w.await("order event.rejected")
		// Structured mode, so that nothing but the letter's own header can tell of the trace.
		body := fmt.Sprintf(`{"specversion":"1.0","id":"bad","source":"/x","type":"distributor.order.paid","time":%q,"traceparent":%q,"data":{}}`,
			emitted, traceparent(traceOfPerson, spanOfPerson, "01"))
		w.write([]byte(body), []schemas.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}})
		dead := w.cfg.Topics.Names().DeadLetters
		for len(w.read(dead)) < 2 {
			time.Sleep(time.Second)
		}
		m.stop()
		inbox := w.cfg.Topics.Names().Inbox
		got := map[string]string{}
		for _, letter := range w.read(dead) {
			id := ""
			for _, h := range letter.Headers {
				if h.Key == "dlq_event_id" {
					id = string(h.Value)
				}
			}
			for _, h := range letter.Headers {
				if h.Key == "traceparent" {
					got[id] += string(h.Value)
				}
			}
		}
		want := map[string]string{
			"order": traceparent(traceOfOrder, spans.one(t, traceOfOrder, "send "+inbox), "01"),
			"bad":   traceparent(traceOfPerson, spanOfPerson, "01"),
		}
		if !maps.Equal(got, want) {
			t.Errorf("dead letters have %v, want %v", got, want)
		}
		spans.want(t, traceOfPerson, spanOfPerson, "process "+w.upstream, "process "+w.upstream+" > send "+dead)
		for name, reason := range map[string]string{"process " + inbox: "unknown_offering", "process " + w.upstream: "invalid"} {
			s := spans.find(spans.last(t, map[string]string{"unknown_offering": traceOfOrder, "invalid": traceOfPerson}[reason], name))
			if s.GetStatus().GetCode() != pb.Status_STATUS_CODE_ERROR || s.GetStatus().GetMessage() != reason {
				t.Errorf("%s ended with %v, want the error %s", name, s.GetStatus(), reason)
			}
		}
		spans.discreet(t)
	})
}

// Whether the collector is down, hangs, or refuses: events are as fast as ever, the spans are counted, and the end is not held up.
func TestTracesOfNoCollector(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"down": nil,
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client is gone
			<-r.Context().Done()
		},
		"refuses": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took := func(traced bool) time.Duration {
					w := newPipes(t, sandbox.Config{})
					spans := collect(w)
					spans.answer = answer
					if answer == nil {
						w.cfg.TracesDial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
					}
					if !traced {
						w.cfg.Traces.OTLPEndpoint = ""
					}
					registry := prometheus.NewPedanticRegistry()
					w.cfg.Registry = registry
					m := w.start()
					began := time.Now()
					for i := range 20 {
						w.emit(event(fmt.Sprintf("e%d", i), schemas.TypeCustomerVerified, emitted, verified(fmt.Sprintf("c%d", i))))
					}
					w.await("e19 wallet.created")
					elapsed := time.Since(began)
					time.Sleep(2 * time.Minute)
					if traced {
						if n := number(t, registry, "trace_spans_total", map[string]string{"result": "failed"}); n < 100 {
							t.Errorf("%v spans are counted as failed, want those of 20 events", n)
						}
						if n := strings.Count(w.log.String(), "traces are not taken"); n != 1 {
							t.Errorf("told %d times that traces are not taken, want once", n)
						}
					}
					w.emit(event("last", schemas.TypeCustomerVerified, emitted, verified("last")))
					w.await("last wallet.created")
					began = time.Now()
					m.stop()
					if stopped := time.Since(began); stopped > 4*time.Second {
						t.Errorf("it took %s to stop", stopped)
					}
					return elapsed
				}
				// How writes gather depends on which came first, by a few milliseconds. A span that is waited for would cost seconds.
				if with, without := took(true), took(false); with > without+100*time.Millisecond {
					t.Errorf("20 events took %s, and %s without traces", with, without)
				}
			})
		})
	}
}

// The headers of the collector's requests are in a file that may change, and in no log.
func TestTraceHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		spans := collect(w)
		file := filepath.Join(t.TempDir(), "headers")
		write := func(token string) {
			if err := os.WriteFile(file, []byte("X-Tenant: ours\nAuthorization: Bearer s3cret-"+token+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("one")
		w.cfg.Traces.HeadersFile = file
		m := w.start()
		for _, token := range []string{"one", "two"} {
			write(token)
			w.emit(event(token, schemas.TypeCustomerVerified, emitted, verified(token)))
			w.await(token + " wallet.created")
			time.Sleep(10 * time.Second)
			if got := spans.header("Authorization"); got != "Bearer s3cret-"+token || spans.header("X-Tenant") != "ours" {
				t.Errorf("the collector got %q, want the token %s", got, token)
			}
		}
		m.stop()
	})
}

// carry sees to it that the results of an event say which trace they belong to, and gives their names.
func (w *world) carry(t *testing.T, cause, want string) (names []string) {
	t.Helper()
	for _, r := range w.read(w.cfg.Topics.Names().Results) {
		e := w.decode(r)
		if e.CausationID != cause {
			continue
		}
		names = append(names, e.Name)
		for _, key := range []string{"ce_traceparent", "traceparent"} {
			got := ""
			for _, h := range r.Headers {
				if h.Key == key {
					got += string(h.Value)
				}
			}
			if got != want {
				t.Errorf("result %s has %s %q, want %q", e.Name, key, got, want)
			}
		}
	}
	if len(names) == 0 {
		t.Errorf("no results of %s", cause)
	}
	return names
}
