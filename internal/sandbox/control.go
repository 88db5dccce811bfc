package sandbox

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// controls are the endpoints by which a test or a person steers the sandbox from outside its process.
func (s *Server) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/ledger", s.controlLedger)
	mux.HandleFunc("GET /sandbox/calls", func(w http.ResponseWriter, _ *http.Request) { tell(w, 200, notNil(s.Calls())) })
	mux.HandleFunc("GET /sandbox/stats", func(w http.ResponseWriter, _ *http.Request) { tell(w, 200, s.Stats()) })
	mux.HandleFunc("GET /sandbox/doubles", func(w http.ResponseWriter, _ *http.Request) { tell(w, 200, notNil(s.Doubles())) })
	mux.HandleFunc("GET /sandbox/holdings", func(w http.ResponseWriter, _ *http.Request) { tell(w, 200, notNil(s.Holdings())) })
	mux.HandleFunc("GET /sandbox/webhooks", func(w http.ResponseWriter, _ *http.Request) { tell(w, 200, notNil(s.Deliveries())) })
	mux.HandleFunc("GET /sandbox/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(description) // a client that has gone is no news
	})
	mux.HandleFunc("GET /sandbox/faults", s.controlListFaults)
	mux.HandleFunc("POST /sandbox/faults", s.controlFault)
	mux.HandleFunc("DELETE /sandbox/faults", does(s.Clear))
	mux.HandleFunc("DELETE /sandbox/faults/{id}", s.controlUnfault)
	mux.HandleFunc("POST /sandbox/kyc", s.controlKYC)
	mux.HandleFunc("POST /sandbox/investments/{id}", s.controlInvestment)
	mux.HandleFunc("POST /sandbox/tasks", s.controlTask)
	mux.HandleFunc("POST /sandbox/tokens/revoke", does(s.RevokeTokens))
	mux.HandleFunc("POST /sandbox/reset", does(s.Reset))
	return loopback(mux)
}

// loopback lets only callers on this machine in: these endpoints ask for no token.
func loopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err == nil && ip != nil && !ip.IsLoopback() {
			tell(w, http.StatusForbidden, object{"error": "only from this machine"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func tell(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(mustJSON(v), '\n')) // a client that has gone is no news
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// does is an endpoint that takes nothing and does one thing.
func does(what func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		what()
		w.WriteHeader(http.StatusNoContent)
	}
}

// read decodes a request strictly; if it cannot, it has answered.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		tell(w, http.StatusBadRequest, object{"error": err.Error()})
		return false
	}
	return true
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		tell(w, http.StatusBadRequest, object{"error": err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// controlLedger gives every effect, or those with a seq above ?after=.
func (s *Server) controlLedger(w http.ResponseWriter, r *http.Request) {
	effects := s.Ledger()
	if text := r.URL.Query().Get("after"); text != "" {
		after, err := strconv.Atoi(text)
		if err != nil || after < 0 {
			tell(w, http.StatusBadRequest, object{"error": "after: not a number"})
			return
		}
		effects = effects[min(after, len(effects)):] // seq counts from 1, without gaps
	}
	tell(w, http.StatusOK, notNil(effects))
}

func (s *Server) controlFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !read(w, r, &f) {
		return
	}
	if err := f.Validate(); err != nil {
		done(w, err)
		return
	}
	tell(w, http.StatusCreated, object{"id": s.Fault(f)})
}

func (s *Server) controlListFaults(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		ID     string `json:"id"`
		Struck int    `json:"struck"` // how often
		Fault  Fault  `json:"fault"`
	}
	list := []entry{}
	s.mu.Lock()
	for _, f := range s.faults.armed {
		list = append(list, entry{f.name, f.struck, f.Fault})
	}
	s.mu.Unlock()
	tell(w, http.StatusOK, list)
}

func (s *Server) controlUnfault(w http.ResponseWriter, r *http.Request) {
	if !s.Unfault(r.PathValue("id")) {
		tell(w, http.StatusNotFound, object{"error": "there is no such fault"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// controlKYC ends the KYC of an investor, or rules on investors to come that match.
func (s *Server) controlKYC(w http.ResponseWriter, r *http.Request) {
	var j struct {
		InvestorID string         `json:"investor_id"`
		Match      map[string]any `json:"match"`
		Verdict    string         `json:"verdict"`
		Delay      span           `json:"delay"`
	}
	if !read(w, r, &j) {
		return
	}
	verdict := KYC{Delay: time.Duration(j.Delay), Verdict: j.Verdict}
	switch {
	case j.InvestorID != "" && j.Match == nil:
		done(w, s.SetKYC(j.InvestorID, verdict))
	case j.InvestorID == "" && j.Match != nil:
		done(w, s.NextKYC(j.Match, verdict))
	default:
		done(w, fmt.Errorf("either investor_id or match is needed"))
	}
}

// controlInvestment sets an investment's status; DELIVERED is a credit by hand.
func (s *Server) controlInvestment(w http.ResponseWriter, r *http.Request) {
	var j struct {
		Status string `json:"status"`
	}
	if read(w, r, &j) {
		done(w, s.SetStatus(r.PathValue("id"), j.Status))
	}
}

// controlTask ends a task, or rules on tasks to come.
func (s *Server) controlTask(w http.ResponseWriter, r *http.Request) {
	var j struct {
		TaskID    string         `json:"task_id"`
		Operation string         `json:"operation"`
		Match     map[string]any `json:"match"`
		Count     int            `json:"count"`
		Verdict   string         `json:"verdict"`
		Delay     span           `json:"delay"`
		Applied   bool           `json:"applied"`
		AtOnce    bool           `json:"at_once"`
	}
	if !read(w, r, &j) {
		return
	}
	if j.TaskID != "" {
		done(w, s.SetTask(j.TaskID, j.Verdict))
		return
	}
	rule := TaskRule{Delay: time.Duration(j.Delay), Verdict: j.Verdict, Applied: j.Applied, AtOnce: j.AtOnce}
	done(w, s.NextTask(j.Operation, j.Match, j.Count, rule))
}
