package sandbox

import (
	"bytes"
	"hash/maphash"
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

// Fast is as much of the API as a benchmark of clients calls, and as little as possible, since it shares the processor with
// what is measured: tokens, investors whose KYC has succeeded, and generic wallets, at a fixed latency. It validates
// nothing, and every investor exists.
//
// What it does not spare is what a benchmark has to prove: idempotency by key, and the audit of what it saw. A client shall
// make the calls of one investor one at a time, their addresses rising (as strings, in any case of letters); of different
// investors in any order.
type Fast struct {
	cfg   FastConfig
	token string
	clock fastClock
	seed  maphash.Seed

	mu        sync.Mutex        // guards the rest
	made      uint64            // wallets, since the start
	keys      map[uint64]uint64 // by the key's hash: number of the wallet, 0 while its call is in flight
	effects   map[uint64]bool   // by the address's hash
	investors map[string]*fastInvestor
	inFlight  int
	changed   time.Time // when inFlight did
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
	// CallSeconds is how long calls were in flight, all together: its growth, divided by the time that it took, is how
	// many there were on average.
	CallSeconds float64 `json:"call_seconds"`
}

// NewFast makes a Fast.
func NewFast(cfg FastConfig) *Fast {
	f := &Fast{cfg: cfg, token: newID(), seed: maphash.MakeSeed()}
	f.Reset()
	return f
}

// Reset begins the audit anew, and forgets all keys.
func (f *Fast) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys, f.effects, f.investors = map[uint64]uint64{}, map[uint64]bool{}, map[string]*fastInvestor{}
	f.audit, f.changed = Audit{InFlight: f.inFlight}, time.Now()
}

// Audit gives what was seen.
func (f *Fast) Audit() Audit {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(0)
	return f.audit
}

// answer gives what is answered to a request, when it is time to.
func (f *Fast) answer(r *http.Request, body []byte) (status int, text string) {
	if r.URL.Path == tokenPath {
		return http.StatusOK, `{"access_token":"` + f.token + `","token_type":"Bearer","expires_in":86400}`
	}
	if r.URL.Path == auditPath {
		if r.Method == http.MethodDelete {
			f.Reset()
		}
		return http.StatusOK, string(mustJSON(f.Audit()))
	}
	path, ok := strings.CutPrefix(r.URL.Path, current+"investors/")
	if !ok {
		path, ok = strings.CutPrefix(r.URL.Path, older+"investors/")
	}
	investor, rest, cut := strings.Cut(path, "/")
	switch {
	case ok && cut && r.Method == http.MethodGet && rest == "":
		return http.StatusOK, `{"id":` + strconv.Quote(investor) + `,"kyc_status":"` + KYCSuccess + `"}`
	case ok && cut && r.Method == http.MethodPost && rest == "wallets/"+kindGeneric+"/":
		return f.wallet(r, investor, body)
	}
	return http.StatusNotFound, `{"detail":"Not found."}`
}

// auditPath is where the audit is: GET gives it, DELETE resets it.
const auditPath = "/sandbox/audit"

func (f *Fast) wallet(r *http.Request, investor string, body []byte) (status int, text string) {
	address, ok := addressIn(body)
	if !ok {
		return http.StatusBadRequest, `{"detail":"JSON parse error."}`
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || token != f.token {
		return http.StatusUnauthorized, `{"detail":"Invalid token."}`
	}
	key := maphash.String(f.seed, r.Header.Get(keyHeader))
	number, known := f.begin(investor, key, strings.ToLower(address))
	if known && number == 0 {
		f.refuse()
		return http.StatusConflict, `{"detail":"A call with this key is in flight."}`
	}
	latency := f.cfg.Latency
	if d, slow := f.cfg.Slow[investor]; slow {
		latency = d
	}
	f.clock.sleep(latency) // a client that gives up does not stop it
	number = f.end(investor, key, number)
	return http.StatusCreated, `{"id":"` + fastID(number) + `","address":"` + address + `","kind":"` + kindGeneric + `"}`
}

// addressIn finds the address in a wallet's JSON without decoding it.
func addressIn(body []byte) (string, bool) {
	_, rest, ok := bytes.Cut(body, []byte(`"address":"`))
	address, _, whole := bytes.Cut(rest, []byte(`"`))
	return string(address), ok && whole
}

// fastID gives the ID of a wallet by its number.
func fastID(number uint64) string {
	id := []byte("00000000-0000-4000-9000-000000000000")
	for at := len(id) - 1; number > 0; at, number = at-1, number/16 {
		id[at] = "0123456789abcdef"[number%16]
	}
	return string(id)
}

// enter notes that n more calls are in flight. The caller holds mu.
func (f *Fast) enter(n int) {
	now := time.Now()
	f.audit.CallSeconds += float64(f.inFlight) * now.Sub(f.changed).Seconds()
	f.changed = now
	f.inFlight += n
	f.audit.InFlight = max(f.audit.InFlight, f.inFlight)
}

// begin notes a call. If its key is known it gives the wallet's number, 0 while its first call is in flight.
func (f *Fast) begin(investor string, key uint64, address string) (number uint64, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(1)
	f.audit.Calls++
	if number, known = f.keys[key]; known {
		f.audit.Repeats++
		return number, true
	}
	i := f.investors[investor]
	if i == nil {
		i = &fastInvestor{}
		f.investors[investor] = i
	}
	f.audit.Effects++
	effect := maphash.String(f.seed, address)
	switch {
	case f.effects[effect]:
		f.audit.Doubled++
	case i.inFlight > 0 || address < i.last:
		f.audit.Inversions++
	}
	f.keys[key], f.effects[effect] = 0, true
	i.last = max(i.last, address)
	i.inFlight++
	return 0, false
}

func (f *Fast) refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(-1)
}

// end notes that a call is answered, and gives its wallet's number: a new one if it has none. A call from before a Reset
// belongs to nobody.
func (f *Fast) end(investor string, key, number uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enter(-1)
	if number > 0 {
		return number
	}
	f.made++
	if i := f.investors[investor]; i != nil {
		i.inFlight--
		f.keys[key] = f.made
	}
	return f.made
}
