package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/sandbox"
)

func TestMiddleRate(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var slowEnds, burst []time.Time
	for i := range 100 { // ten seconds for each of the first and the last ten, 10 ms for each in between
		at := began.Add(time.Duration(100+i-10) * 10 * time.Millisecond)
		if i < 10 {
			at = began.Add(-time.Duration(i+1) * 10 * time.Second)
		}
		if i > 90 {
			at = began.Add(time.Duration(i) * 10 * time.Second)
		}
		slowEnds = append(slowEnds, at)
		burst = append(burst, began)
	}
	for name, c := range map[string]struct {
		times []time.Time
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
		"bare_client_per_second", "share_of_order_limit", "most_in_flight",
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
	for _, name := range []string{"cpu", "alloc"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("profile %s: %v", name, err)
		}
	}
}
