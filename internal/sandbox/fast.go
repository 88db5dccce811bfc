package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FastConfig says how a Fast answers.
type FastConfig struct {
	Latency time.Duration            // of each wallet call; all others are answered at once
	Slow    map[string]time.Duration // latency by investor ID, instead of Latency
}

// Fast is as much of the API as a benchmark of clients calls, and as little as possible: tokens, investors whose KYC has
// succeeded, and generic wallets, at a fixed latency. It validates nothing, and every investor exists.
//
// What it does not spare is what a benchmark has to prove: idempotency by key, and the audit of what it saw. A client shall
// make the calls of one investor one at a time, their addresses rising (as strings, in any case of letters); of different
// investors in any order.
type Fast struct {
	cfg   FastConfig
	token string

	mu        sync.Mutex // guards the rest
	keys      map[string]string
	effects   map[string]bool // by address
	investors map[string]*fastInvestor
	inFlight  int
	audit     Audit
}

// fastInvestor is what was seen of one investor.
type fastInvestor struct {
	last     string // the address called for last
	inFlight int
}

// Audit is what a Fast saw of wallet calls since its start, or since its audit was reset.
type Audit struct {
	Calls      int `json:"calls"`
	Effects    int `json:"effects"`        // calls with a key that was new
	Repeats    int `json:"repeats"`        // calls with a key that was known; they have no effect
	Doubled    int `json:"doubled"`        // effects for an address that had one
	Inversions int `json:"inversions"`     // effects before an earlier one of that investor, or while one was under way
	InFlight   int `json:"most_in_flight"` // the most calls at a time
}

// NewFast makes a Fast.
func NewFast(cfg FastConfig) *Fast {
	f := &Fast{cfg: cfg, token: newID()}
	f.Reset()
	return f
}

// Reset begins the audit anew, and forgets all keys.
func (f *Fast) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys, f.effects, f.investors = map[string]string{}, map[string]bool{}, map[string]*fastInvestor{}
	f.audit = Audit{InFlight: f.inFlight}
}

// Audit gives what was seen.
func (f *Fast) Audit() Audit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.audit
}

// Serve is like Server.Serve.
func (f *Fast) Serve(ctx context.Context, ln net.Listener) error { return serve(ctx, ln, f.Handler()) }

// Handler serves the calls under both prefixes, and the audit: GET /sandbox/audit gives it, DELETE resets it.
func (f *Fast) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+tokenPath, func(w http.ResponseWriter, _ *http.Request) {
		fastAnswer(w, http.StatusOK, `{"access_token":"`+f.token+`","token_type":"Bearer","expires_in":86400}`)
	})
	for _, prefix := range []string{current, older} {
		mux.HandleFunc("GET "+prefix+"investors/{investor}/{$}", f.investor)
		mux.HandleFunc("POST "+prefix+"investors/{investor}/wallets/eth-generic/{$}", f.wallet)
	}
	mux.HandleFunc("GET /sandbox/audit", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, f.Audit()) })
	mux.HandleFunc("DELETE /sandbox/audit", does(f.Reset))
	return mux
}

func (f *Fast) investor(w http.ResponseWriter, r *http.Request) {
	fastAnswer(w, http.StatusOK, `{"id":`+strconv.Quote(r.PathValue("investor"))+`,"kyc_status":"`+KYCSuccess+`"}`)
}

func (f *Fast) wallet(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Address string `json:"address"`
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &body) != nil {
		fastAnswer(w, http.StatusBadRequest, `{"detail":"JSON parse error."}`)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+f.token {
		fastAnswer(w, http.StatusUnauthorized, `{"detail":"Invalid token."}`)
		return
	}
	investor, key := r.PathValue("investor"), r.Header.Get(keyHeader)
	id, known := f.begin(investor, key, strings.ToLower(body.Address))
	if known && id == "" {
		f.refuse()
		fastAnswer(w, http.StatusConflict, `{"detail":"A call with this key is in flight."}`)
		return
	}
	latency := f.cfg.Latency
	if d, slow := f.cfg.Slow[investor]; slow {
		latency = d
	}
	time.Sleep(latency) // a client that gives up does not stop it
	if !known {
		id = newID()
	}
	f.end(investor, key, id, known)
	fastAnswer(w, http.StatusCreated, `{"id":"`+id+`","address":`+strconv.Quote(body.Address)+`,"kind":"`+kindGeneric+`"}`)
}

// begin notes a call. If its key is known it gives the wallet's ID, empty while its first call is in flight.
func (f *Fast) begin(investor, key, address string) (id string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight++
	f.audit.Calls++
	f.audit.InFlight = max(f.audit.InFlight, f.inFlight)
	if id, known = f.keys[key]; known {
		f.audit.Repeats++
		return id, true
	}
	i := f.investors[investor]
	if i == nil {
		i = &fastInvestor{}
		f.investors[investor] = i
	}
	f.audit.Effects++
	switch {
	case f.effects[address]:
		f.audit.Doubled++
	case i.inFlight > 0 || address < i.last:
		f.audit.Inversions++
	}
	f.keys[key], f.effects[address] = "", true
	i.last = max(i.last, address)
	i.inFlight++
	return "", false
}

func (f *Fast) refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight--
}

// end notes that a call is answered. One from before a Reset belongs to nobody.
func (f *Fast) end(investor, key, id string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight--
	i := f.investors[investor]
	if known || i == nil {
		return
	}
	i.inFlight--
	f.keys[key] = id
}

func fastAnswer(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that has gone is no news
}
