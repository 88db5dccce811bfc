package main

import (
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/sandbox"
)

func TestMiddleRate(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var slowEnds, burst []int64
	for i := range 100 { // ten seconds for each of the first and the last ten, 10 ms for each in between
		at := began.Add(time.Duration(100+i-10) * 10 * time.Millisecond)
		if i < 10 {
			at = began.Add(-time.Duration(i+1) * 10 * time.Second)
		}
		if i > 90 {
			at = began.Add(time.Duration(i) * 10 * time.Second)
		}
		slowEnds = append(slowEnds, at.UnixNano())
		burst = append(burst, began.UnixNano())
	}
	for name, c := range map[string]struct {
		times []int64
		want  float64
	}{
		"the ends do not count": {slowEnds, 100},
		"all at once":           {burst, 0},
		"none":                  {nil, 0},
	} {
		if got := middleRate(c.times); got < c.want*0.99 || got > c.want*1.01 {
			t.Errorf("%s: %.2f, want %.2f", name, got, c.want)
		}
	}
}

// Events are valid, and the addresses of each customer rise: by them the API sees the order.
func TestWorkload(t *testing.T) {
	t.Parallel()
	for _, skew := range []float64{0, 1.3} {
		w, err := newWorkload(&BenchCmd{Customers: 50, Skew: skew})
		if err != nil {
			t.Fatal(err)
		}
		last := map[string]string{}
		for range 2000 {
			e, err := w.next()
			if err == nil {
				err = w.contract.Validate(e)
			}
			if err != nil {
				t.Fatal(err)
			}
			var data struct{ Address string }
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			if data.Address <= last[e.CustomerID] {
				t.Fatalf("%s comes after %s", data.Address, last[e.CustomerID])
			}
			last[e.CustomerID] = data.Address
		}
		if last[customerID(w.blocked())] != "" {
			t.Error("the blocked customer has events among the others'")
		}
		if busy := w.busiest(); skew == 0 && busy > 80 || skew > 0 && busy < 300 {
			t.Errorf("skew %g: the busiest customer has %d of 2000 events", skew, busy)
		}
		linked, err := w.linked(w.blocked())
		if err == nil {
			err = w.contract.Validate(linked)
		}
		if err != nil {
			t.Errorf("linked: %v", err)
		}
	}
}

func TestBenchVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		saw    sandbox.Audit
		others int
		want   string
	}{
		"kept":     {sandbox.Audit{Calls: 11, Effects: 10, Repeats: 1}, 0, ""},
		"inverted": {sandbox.Audit{Calls: 10, Effects: 10, Inversions: 1}, 0, "1 order inversions"},
		"twice":    {sandbox.Audit{Calls: 11, Effects: 11, Doubled: 1}, 0, "1 effects twice"},
		"lost":     {sandbox.Audit{Calls: 9, Effects: 9}, 0, "1 events lost"},
		"hidden":   {sandbox.Audit{Calls: 10, Effects: 10, Doubled: 1}, 0, "1 events lost"},
		"rejected": {sandbox.Audit{Calls: 10, Effects: 10}, 1, "1 other results"},
	} {
		r := newBenchReport(&BenchCmd{Events: 10})
		r.OtherResults = c.others
		r.saw(c.saw, 10)
		switch err := r.verdict(); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// A child serves until its parent closes the pipe, as the system does for a parent that was killed.
func TestBenchChildEnds(t *testing.T) {
	t.Parallel()
	c, h, err := startChild(t.Context(), terminal{io.Discard, os.Stderr, os.Environ()}, "bench-api", "--latency", "1ms")
	if err != nil {
		t.Fatal(err)
	}
	addr := h.Addrs[0]
	if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
		t.Errorf("listens on %s", addr)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + "/sandbox/audit") //nolint:noctx // a local server
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	_ = c.orders.Close()
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		t.Fatal("it goes on without its parent")
	}
	c.stop()
	if _, err := client.Get("http://" + addr + "/sandbox/audit"); err == nil { //nolint:noctx // a local server
		t.Error("it still answers")
	}
}

func TestBenchChildThatEndsTooEarly(t *testing.T) {
	t.Parallel()
	_, _, err := startChild(t.Context(), terminal{io.Discard, io.Discard, os.Environ()}, "bench-broker", "--libs", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "bench-broker has ended") {
		t.Errorf("%v", err)
	}
}

func TestBenchOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--runs", "0"}, {"--pairs", "2"}, {"--pairs", "2", "--blocked-customer", "--runs", "2"}, {"--skew", "1"},
		{"--warm-up", "-1"},
	} {
		if err := run(t.Context(), append([]string{"bench"}, args...), nil, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: it runs", args)
		}
	}
}

// Runs of a pair take turns, so that a machine that gets slower does not count.
func TestBenchPlan(t *testing.T) {
	t.Parallel()
	var blocked []bool
	for _, one := range (&BenchCmd{Runs: 1, Pairs: 3, BlockedCustomer: true}).plan() {
		blocked = append(blocked, one.BlockedCustomer)
	}
	if want := []bool{false, true, true, false, false, true}; !slices.Equal(blocked, want) {
		t.Errorf("%v, want %v", blocked, want)
	}
	if n := len((&BenchCmd{Runs: 3, WarmUp: 2}).plan()); n != 5 {
		t.Errorf("%d runs, want 5", n)
	}
}

func TestBenchSummary(t *testing.T) {
	t.Parallel()
	made := func(rate float64, blocked bool, inversions int) benchReport {
		r := newBenchReport(&BenchCmd{Events: 1000, BlockedCustomer: blocked})
		r.EventsPerSecond, r.TookSeconds, r.OrderLimitSeconds, r.Inversions = rate, 20, 10, inversions
		r.compare(200)
		return r
	}
	runs := []benchReport{made(300, false, 0), made(100, false, 1), made(120, false, 1)}
	s := summarize(&BenchCmd{Runs: 3}, runs)
	if s.EventsPerSecond != 120 || s.ShareOfBare != 0.6 || s.Spread["events_per_second"] != [2]float64{100, 300} || len(s.Runs) != 3 {
		t.Errorf("medians: %+v", s)
	}
	// 1000 events in 20 s, of 100/s that the busiest customer permits.
	if s.OrderPermits != 100 || s.ShareOfOrderLimit != 0.5 {
		t.Errorf("permitted %v, reached %v of it", s.OrderPermits, s.ShareOfOrderLimit)
	}
	if s.Inversions != 2 || s.verdict() == nil {
		t.Errorf("%d inversions, %v", s.Inversions, s.verdict())
	}
	runs = []benchReport{made(100, false, 0), made(90, true, 0), made(99, true, 0), made(100, false, 1)}
	s = summarize(&BenchCmd{Pairs: 2, BlockedCustomer: true}, runs)
	if s.EventsPerSecond != 94.5 || len(s.Pairs) != 2 || s.Pairs[1].With != 99 || math.Abs(*s.Slow-5.5) > 1e-9 || s.verdict() == nil {
		t.Errorf("pairs: %+v", s)
	}
	var table, object strings.Builder
	if err := s.tell(terminal{stdout: &table}, false); err != nil || !strings.Contains(table.String(), "slowed down by 5.5 % (median)") {
		t.Errorf("%v\n%s", err, &table)
	}
	var told map[string]any
	if err := s.tell(terminal{stdout: &object}, true); err != nil || json.Unmarshal([]byte(object.String()), &told) != nil ||
		told["slow_down_percent"] == nil || len(told["run_reports"].([]any)) != 4 || told["events_per_second"] != 94.5 {
		t.Errorf("%v\n%s", err, &object)
	}
	alone := summarize(&BenchCmd{Runs: 1}, runs[:1])
	if alone.EventsPerSecond != 100 || alone.Runs != nil || alone.Spread != nil {
		t.Errorf("one run: %+v", alone)
	}
}

func TestBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out, errs strings.Builder
	err := run(t.Context(), []string{
		"bench", "--events", "400", "--customers", "40", "--partitions", "2", "--in-flight", "8", "--latency", "2ms",
		"--skew", "1.2", "--blocked-customer", "--json",
		"--profile", filepath.Join(dir, "cpu"), "--alloc-profile", filepath.Join(dir, "alloc"),
	}, os.Environ(), &out, &errs)
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		t.Fatal(err, errs.String())
	}
	var r map[string]any
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"events_per_second", "share_of_bare_client", "p50_ms", "p99_ms", "cpu_seconds_per_1000_events", "peak_memory_bytes",
		"bare_client_per_second", "share_of_order_limit", "order_permits_per_second", "most_in_flight", "state_objects",
		"allocations_per_event", "allocated_bytes_per_event",
	} {
		if n, ok := r[name].(float64); !ok || n <= 0 {
			t.Errorf("%s: %v", name, r[name])
		}
	}
	for _, name := range []string{"order_inversions", "duplicate_effects", "lost_events", "other_results", "repeated_calls"} {
		if n, ok := r[name].(float64); !ok || n != 0 {
			t.Errorf("%s: %v", name, r[name])
		}
	}
	if n := r["most_in_flight"].(float64); n > 8 {
		t.Errorf("%v calls in flight", n)
	}
	if n := r["state_objects"].(float64); n < 400 {
		t.Errorf("%v objects of state after 400 events, each with a wallet of its own", n)
	}
	if points, ok := r["memory_series"].([]any); !ok || len(points) == 0 {
		t.Errorf("memory: %v", r["memory_series"])
	}
	for _, name := range []string{"cpu", "alloc"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("profile %s: %v", name, err)
		}
	}
}
