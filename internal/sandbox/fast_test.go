package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

// fastClient calls a Fast that is served without a network.
type fastClient struct {
	t     *testing.T
	http  *http.Client
	token string
}

type fastAnswer struct {
	Code int
	Body string
}

// newFastClient serves f until the test ends.
func newFastClient(t *testing.T, f *sandbox.Fast) *fastClient {
	t.Helper()
	network := newPipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1) // one send
	go func() { ended <- f.Serve(ctx, network) }()
	transport := &http.Transport{DialContext: network.dial}
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c := &fastClient{t: t, http: &http.Client{Transport: transport}}
	c.token = strings.Split(c.do(http.MethodPost, "/oauth/token", "", "").Body, `"`)[3]
	return c
}

func (c *fastClient) do(method, path, key, body string) fastAnswer {
	c.t.Helper()
	if !strings.HasPrefix(path, "/sandbox/") {
		path = sandbox.Base + path
	}
	r, err := http.NewRequest(method, "http://fast"+path, strings.NewReader(body)) //nolint:noctx // no network
	if err != nil {
		c.t.Error(err)
		return fastAnswer{}
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("X-Idempotency-Key", key)
	res, err := c.http.Do(r)
	if err != nil {
		c.t.Error(err)
		return fastAnswer{}
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Type") != "application/json" {
		c.t.Error(res.Header, err)
	}
	return fastAnswer{res.StatusCode, string(raw)}
}

func (c *fastClient) wallet(investor, key, address string) fastAnswer {
	return c.do(http.MethodPost, "/v2/investors/"+investor+"/wallets/eth-generic/", key, fmt.Sprintf(`{"address":%q}`, address))
}

func TestFastAnswers(t *testing.T) {
	t.Parallel()
	c := newFastClient(t, sandbox.NewFast(sandbox.FastConfig{}))
	if w := c.do(http.MethodGet, "/distributor/v2/investors/i-1/", "", ""); w.Code != 200 ||
		w.Body != `{"id":"i-1","kyc_status":"SUCCESS"}` {
		t.Errorf("investor: %d %s", w.Code, w.Body)
	}
	first := c.wallet("i-1", "k", "0xa1")
	if first.Code != 201 || !strings.Contains(first.Body, `"address":"0xa1"`) {
		t.Errorf("wallet: %d %s", first.Code, first.Body)
	}
	if again := c.wallet("i-1", "k", "0xa1"); again.Body != first.Body {
		t.Errorf("the same key got %s after %s", again.Body, first.Body)
	}
	if w := c.do(http.MethodPost, "/v2/investors/i-1/wallets/eth-generic/", "k2", `{`); w.Code != 400 {
		t.Errorf("broken JSON: %d", w.Code)
	}
	c.token = "another"
	if w := c.wallet("i-1", "k3", "0xa2"); w.Code != 401 {
		t.Errorf("another token: %d", w.Code)
	}
}

// counted is the audit without its times, which are real here.
func counted(f *sandbox.Fast) sandbox.Audit {
	a := f.Audit()
	a.CallSeconds = 0
	return a
}

func TestFastAudit(t *testing.T) {
	t.Parallel()
	type step struct{ investor, key, address string }
	for name, c := range map[string]struct {
		steps []step
		want  sandbox.Audit
	}{
		"in order": {
			[]step{{"i", "1", "0x1"}, {"j", "2", "0x0"}, {"i", "3", "0x3"}},
			sandbox.Audit{Calls: 3, Effects: 3, InFlight: 1},
		},
		"repeated": {
			[]step{{"i", "1", "0x1"}, {"i", "2", "0x2"}, {"i", "1", "0x1"}},
			sandbox.Audit{Calls: 3, Effects: 2, Repeats: 1, InFlight: 1},
		},
		"inverted": {
			[]step{{"i", "1", "0xB"}, {"i", "2", "0xa"}, {"i", "3", "0xc"}},
			sandbox.Audit{Calls: 3, Effects: 3, Inversions: 1, InFlight: 1},
		},
		"doubled": {
			[]step{{"i", "1", "0xA"}, {"i", "2", "0xa"}},
			sandbox.Audit{Calls: 2, Effects: 2, Doubled: 1, InFlight: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := sandbox.NewFast(sandbox.FastConfig{})
			client := newFastClient(t, f)
			for _, s := range c.steps {
				client.wallet(s.investor, s.key, s.address)
			}
			if got := counted(f); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			var told sandbox.Audit
			if w := client.do(http.MethodGet, "/sandbox/audit", "", ""); w.Code != 200 ||
				json.Unmarshal([]byte(w.Body), &told) != nil || told.Effects != c.want.Effects {
				t.Errorf("told %d %s", w.Code, w.Body)
			}
			if w := client.do(http.MethodDelete, "/sandbox/audit", "", ""); w.Code >= 300 || counted(f) != (sandbox.Audit{}) {
				t.Errorf("reset: %d, %+v", w.Code, f.Audit())
			}
		})
	}
}

func TestFastInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := sandbox.NewFast(sandbox.FastConfig{Latency: time.Second, Slow: map[string]time.Duration{"slow": 5 * time.Second}})
		client := newFastClient(t, f)
		began := time.Now()
		var calls sync.WaitGroup
		took := make([]time.Duration, 3)
		for n, investor := range []string{"i", "slow", "i"} {
			calls.Go(func() {
				client.wallet(investor, fmt.Sprint(n), fmt.Sprintf("0x%d", n))
				took[n] = time.Since(began)
			})
			synctest.Wait()
		}
		if w := client.wallet("i", "2", "0x2"); w.Code != 409 {
			t.Errorf("the same key in flight: %d", w.Code)
		}
		calls.Wait()
		if want := [3]time.Duration{time.Second, 5 * time.Second, time.Second}; [3]time.Duration(took) != want {
			t.Errorf("took %v, want %v", took, want)
		}
		// Two of one investor at a time are out of order, whichever began first.
		if got, want := f.Audit(), (sandbox.Audit{Calls: 4, Effects: 3, Repeats: 1, Inversions: 1, InFlight: 4, CallSeconds: 7}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// TestFastEnds: a call in flight gets its answer when the server ends, and none is taken after it.
func TestFastEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newPipe()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1) // one send
		go func() { ended <- sandbox.NewFast(sandbox.FastConfig{Latency: time.Second}).Serve(ctx, network) }()
		client := &fastClient{t: t, http: &http.Client{Transport: &http.Transport{DialContext: network.dial}}}
		client.token = strings.Split(client.do(http.MethodPost, "/oauth/token", "", "").Body, `"`)[3]
		got := make(chan int, 1) // one send
		go func() { got <- client.wallet("i", "1", "0x1").Code }()
		synctest.Wait()
		cancel()
		if code, err := <-got, <-ended; code != 201 || err != nil {
			t.Errorf("%d, served with %v", code, err)
		}
		if _, err := client.http.Get("http://fast/sandbox/audit"); err == nil { //nolint:noctx // no network
			t.Error("it still answers")
		}
	})
}
