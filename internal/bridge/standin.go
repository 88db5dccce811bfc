package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
)

// standIn answers a plan's calls, over pipes in this process: every call succeeds, KYC is passed, investments are paid, and
// tasks end well. It notes what it is asked for.
type standIn struct {
	creditAt string
	server   http.Server
	served   chan struct{} // closed when the server has ended
	conns    chan net.Conn
	closed   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	calls []PlanStep
}

func newStandIn(creditAt string) *standIn {
	s := &standIn{creditAt: creditAt, served: make(chan struct{}), conns: make(chan net.Conn), closed: make(chan struct{})}
	s.server = http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.served)
		_ = s.server.Serve((*pipeListener)(s)) // it ends by close
	}()
	return s
}

// close ends the server and waits for it.
func (s *standIn) close() {
	_ = s.server.Close()
	<-s.served
}

func (s *standIn) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case s.conns <- there:
		return here, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeListener is a standIn as its server's listener.
type pipeListener standIn

// Accept gives the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends dialing.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr gives a name.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "plan", Net: "pipe"} }

// standInPath is where the stand-in has the API. Plans do not tell it: it is the same for all.
const standInPath = "/api/external"

// kinds are what the API gives IDs to.
var kinds = []string{"document", "investor", "identification", "person", "wallet", "investment", "credit", "redemption", "transfer"}

// placeholder gives the ID that stands for one of a kind that the API is yet to give.
func placeholder(kind string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("plan "+kind)).String()
}

var shown = sync.OnceValue(func() *strings.Replacer {
	var pairs []string
	for _, kind := range kinds {
		pairs = append(pairs, placeholder(kind), "{"+kind+"}")
	}
	return strings.NewReplacer(pairs...)
})

// kindOf gives the kind of what a path is about, by the last of its words.
func kindOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		switch parts[i] {
		case "benefiting-persons":
			return "person"
		case "wallets":
			return "wallet"
		}
		for _, kind := range kinds {
			if parts[i] == kind+"s" {
				return kind
			}
		}
	}
	return ""
}

// ServeHTTP notes a call and answers it.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, standInPath)
	if strings.HasSuffix(path, "/oauth/token") {
		answer(w, map[string]any{"access_token": "plan", "token_type": "Bearer", "expires_in": 3600})
		return
	}
	kind := kindOf(path)
	call := PlanStep{Method: r.Method, Path: shown().Replace(path), Key: r.Header.Get("X-Idempotency-Key")}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	switch media, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case media == "multipart/form-data":
		call.Document = describe(body, parameters["boundary"])
	case len(body) > 0:
		call.Body = json.RawMessage(shown().Replace(string(body)))
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	if kind == "person" {
		var persons []json.RawMessage
		_ = json.Unmarshal(body, &persons) // the answer then says what is wrong
		answers := []map[string]string{}
		for range persons {
			answers = append(answers, map[string]string{"person_id": placeholder(kind)})
		}
		answer(w, answers)
		return
	}
	id := placeholder(kind)
	if r.Method == http.MethodGet { // of what is asked for, which may be an ID out of the event
		parts := strings.Split(strings.Trim(path, "/"), "/")
		id = parts[len(parts)-1]
	}
	answer(w, map[string]any{"id": id, "status": s.status(kind, r.Method), "kyc_status": attempt.KYCSuccess})
}

// status gives that of an investment or a task: it has begun, and when it is looked at has come to its end.
func (s *standIn) status(kind, method string) string {
	switch {
	case kind == "investment" && method == http.MethodGet:
		return s.creditAt
	case kind == "investment":
		return "CREATED"
	case method == http.MethodGet:
		return attempt.TaskSucceeded
	}
	return attempt.TaskProcessing
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// describe says of a document what is no secret: not its name.
func describe(body []byte, boundary string) string {
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	part, err := parts.NextPart()
	if err != nil {
		return "a document"
	}
	size, err := io.Copy(io.Discard, part)
	if err != nil {
		return "a document"
	}
	return fmt.Sprintf("%s, %d bytes", part.Header.Get("Content-Type"), size)
}

// observe names the operation of the call that was answered last: one is made at a time.
func (s *standIn) observe(c distributor.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.calls); n > 0 && s.calls[n-1].Operation == "" && c.Method == s.calls[n-1].Method {
		s.calls[n-1].Operation = c.Operation
	}
}

// taken gives the calls since it was asked last.
func (s *standIn) taken() []PlanStep {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}
