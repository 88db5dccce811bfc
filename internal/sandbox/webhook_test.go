package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

// receiver takes webhooks, and gives tokens.
type receiver struct {
	mu     sync.Mutex        // guards what follows
	answer func(nth int) int // what the nth is answered with, from 1 on; nil: 204
	got    []string          // "status after", in their order
	tokens int               // given
}

const hookSecret = "a secret & 100% of the provider's"

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.URL.Path == "/token" {
		id, secret, _ := q.BasicAuth()
		if plain, err := url.QueryUnescape(secret); err != nil || id != "provider" || plain != hookSecret || q.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.tokens++
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":60}`, r.tokens)
		return
	}
	var hook struct {
		InvestmentID string    `json:"investment_id"`
		Status       string    `json:"status"`
		ChangedAt    time.Time `json:"changed_at"`
	}
	if err := json.NewDecoder(q.Body).Decode(&hook); err != nil || hook.InvestmentID == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if token := q.Header.Get("Authorization"); token != "Bearer agreed" && token != fmt.Sprintf("Bearer token-%d", r.tokens) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.got = append(r.got, hook.Status+" "+time.Since(hook.ChangedAt).Round(time.Second).String())
	if r.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(r.answer(len(r.got)))
}

func (r *receiver) answers(with func(nth int) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = with
}

func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// delay is how long an investment takes to each status.
const delay = 2 * time.Minute

// told runs a test with a sandbox that tells a receiver, in virtual time.
func told(t *testing.T, hooks sandbox.Webhooks, test func(a *api, r *receiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pipe, r := newPipe(), &receiver{}
		server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
		var running sync.WaitGroup
		running.Go(func() { _ = server.Serve(pipe) })
		hooks.URL, hooks.Dial = "http://receiver/hooks", pipe.dial
		a := local(t, sandbox.Config{Webhooks: hooks, StatusDelay: map[string]time.Duration{
			sandbox.StatusReview: delay, sandbox.StatusWaiting: delay, sandbox.StatusAccepted: delay, sandbox.StatusPaid: delay,
		}})
		ctx, end := context.WithCancel(context.Background())
		running.Go(func() { a.server.SendWebhooks(ctx) })
		test(a, r)
		end()
		_ = server.Close()
		running.Wait()
	})
}

// allStatuses are what an investment is told to become, each at once.
var allStatuses = []string{"REVIEW_PENDING 0s", "WAITING_FOR_ACCEPTANCE 0s", "ACCEPTED 0s", "PAID 0s", "DELIVERED 0s"}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	for name, hooks := range map[string]sandbox.Webhooks{
		"token":  {Token: "agreed"},
		"client": {TokenURL: "http://receiver/token", ClientID: "provider", ClientSecret: hookSecret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told(t, hooks, func(a *api, r *receiver) {
				investor := a.investor()
				a.wallet(investor)
				investment := a.investment(investor, 5)
				time.Sleep(5 * delay) // and nobody looks
				if err := a.server.SetStatus(investment, sandbox.StatusDelivered); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if got := r.all(); !slices.Equal(got, allStatuses) {
					t.Errorf("told %q, want %q", got, allStatuses)
				}
				if name == "client" && r.tokens != len(allStatuses) {
					t.Errorf("%d tokens, each of which lasts a minute", r.tokens)
				}
			})
		})
	}
}

// What is not taken is sent again, so often and no more; what is taken is sent again as often as was asked for.
func TestWebhooksAreRepeated(t *testing.T) {
	t.Parallel()
	t.Run("failing", func(t *testing.T) {
		t.Parallel()
		told(t, sandbox.Webhooks{Token: "agreed"}, func(a *api, r *receiver) {
			r.answers(func(nth int) int { return []int{503, 204}[min(1, nth/3)] })
			investor := a.investor()
			a.investment(investor, 5)
			time.Sleep(delay + delay/2)
			want := []string{"REVIEW_PENDING 0s", "REVIEW_PENDING 1s", "REVIEW_PENDING 3s"}
			if got := r.all(); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
			r.answers(func(int) int { return 500 })
			time.Sleep(delay)
			if got := r.all(); len(got) != len(want)+6 {
				t.Errorf("told %q", got)
			}
			if sent := a.server.Deliveries(); len(sent) != 9 || sent[0].Answer != 503 || sent[2].Answer != 204 {
				t.Errorf("deliveries %v", sent)
			}
		})
	})
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		told(t, sandbox.Webhooks{Token: "agreed", Duplicates: 2, Shuffle: true}, func(a *api, r *receiver) {
			investor := a.investor()
			for range 20 {
				a.investment(investor, 5)
			}
			time.Sleep(5 * delay)
			if got := r.all(); len(got) != 20*4*3 {
				t.Errorf("told %d times, want 3 times of 4 statuses of 20 investments", len(got))
			}
		})
	})
}

func TestWebhooksConfig(t *testing.T) {
	t.Parallel()
	for name, hooks := range map[string]sandbox.Webhooks{
		"no URL": {Token: "agreed"}, "no credentials": {URL: "http://h/"}, "both": {URL: "http://h/", Token: "t", TokenURL: "http://h/", ClientID: "i", ClientSecret: "s"},
		"half a client": {URL: "http://h/", ClientID: "i"}, "URL": {URL: "h", Token: "t"}, "token URL": {URL: "http://h/", TokenURL: "h", ClientID: "i", ClientSecret: "s"},
	} {
		if _, err := sandbox.New(sandbox.Config{Webhooks: hooks}); err == nil || !strings.Contains(err.Error(), "webhooks: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
