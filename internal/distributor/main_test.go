package distributor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"

	"github.com/google/uuid"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientID = "bridge-test"
	secret   = "GEHEIM-secret"

	someID  = "0b6f7c1e-6f5c-4a53-9a0e-6a3c6f3d1a01"
	otherID = "c7f0b9ce-3c4c-4c0e-8f2c-0d9a7c5b2e02"
)

// quiet is for servers whose faults are wanted.
var quiet = log.New(io.Discard, "", 0)

// seen is a request that reached the fake.
type seen struct {
	method, path, key, contentType, authorization string
	body                                          string
}

// api is a strict fake of the API: it accuses the client of every breach of the rules that hold for all calls, and
// answers as the test says.
type api struct {
	*httptest.Server
	t      *testing.T
	prefix string

	mu     sync.Mutex
	calls  []seen
	tokens []string // given out, in order
	answer http.HandlerFunc
	raw    http.HandlerFunc // instead of all checks, if set
	token  http.HandlerFunc // instead of the usual token endpoint, if set
	valid  func(token string) bool
}

func newAPI(t *testing.T, answer http.HandlerFunc) *api {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, l, answer)
}

func listen(t *testing.T, l net.Listener, answer http.HandlerFunc) *api {
	t.Helper()
	a := &api{t: t, prefix: "/api/external/distributor/v2", answer: answer}
	a.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(a.serve), ErrorLog: quiet}}
	a.Start()
	t.Cleanup(a.Close)
	return a
}

// pipes is a network of one listener, in memory, so that time can be virtual.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/external/oauth/token" {
		a.serveToken(w, r)
		return
	}
	a.mu.Lock()
	raw := a.raw
	a.mu.Unlock()
	if raw != nil {
		raw(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	key := r.Header.Get("X-Idempotency-Key")
	a.mu.Lock()
	path := strings.TrimPrefix(r.URL.Path, a.prefix)
	a.calls = append(a.calls, seen{r.Method, path, key, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
	answer, known := a.answer, slices.Contains(a.tokens, token)
	if a.valid != nil {
		known = known && a.valid(token)
	}
	a.mu.Unlock()

	if !strings.HasPrefix(r.URL.Path, a.prefix+"/") || !strings.HasSuffix(r.URL.Path, "/") {
		a.t.Errorf("path %s", r.URL.Path)
	}
	if (r.Method == http.MethodGet) != (key == "") {
		a.t.Errorf("%s with key %q", r.Method, key)
	}
	if r.Header.Get("User-Agent") == "" || strings.HasPrefix(r.Header.Get("User-Agent"), "Go-http-client") {
		a.t.Errorf("user agent %q", r.Header.Get("User-Agent"))
	}
	if !known {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	answer(w, r)
}

func (a *api) serveToken(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	special := a.token
	a.mu.Unlock()
	if special != nil {
		special(w, r)
		return
	}
	a.grant(w, r, secret, 3600)
}

// grant answers like the token endpoint [G1][G2] to a client that knows the secret; a negative lifetime is not told.
func (a *api) grant(w http.ResponseWriter, r *http.Request, secret string, lifetime int) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.Header.Get("Authorization") != "" ||
		r.PostForm.Get("grant_type") != "client_credentials" {
		a.t.Errorf("token request: %s %v", r.Method, err)
	}
	w.Header().Set("Content-Type", "application/json")
	if r.PostForm.Get("client_id") != clientID || r.PostForm.Get("client_secret") != secret {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"GEHEIM-description"}`)
		return
	}
	a.mu.Lock()
	token := fmt.Sprintf("GEHEIM-token-%d", len(a.tokens)+1)
	a.tokens = append(a.tokens, token)
	a.mu.Unlock()
	told := ""
	if lifetime >= 0 {
		told = fmt.Sprintf(`,"expires_in":%d`, lifetime)
	}
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer"%s}`, token, told)
}

func (a *api) seen() []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func (a *api) granted() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.tokens)
}

func (a *api) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// client makes a client of the fake; changes may alter its configuration.
func (a *api) client(changes ...func(*distributor.Config)) *distributor.Client {
	a.t.Helper()
	return newClient(a.t, a.URL, changes...)
}

func newClient(t *testing.T, url string, changes ...func(*distributor.Config)) *distributor.Client {
	t.Helper()
	cfg := distributor.Config{
		BaseURL:        url + "/api/external",
		AllowPlainHTTP: true,
		ClientID:       clientID,
		ClientSecret:   secret,
	}
	for _, change := range changes {
		change(&cfg)
	}
	c, err := distributor.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newKey() distributor.Key { return distributor.Key(uuid.New()) }

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// verdict gives the verdict of err, which has to be one.
func verdict(t *testing.T, err error) *outcome.Error {
	t.Helper()
	var e *outcome.Error
	if !errors.As(err, &e) {
		t.Fatalf("no verdict: %v", err)
	}
	if strings.Contains(err.Error(), "GEHEIM") || strings.Contains(fmt.Sprintf("%+v %#v", e, *e), "GEHEIM") {
		t.Errorf("the error tells what it must not: %v", err)
	}
	return e
}

// wantVerdict compares what decides.
func wantVerdict(t *testing.T, err error, verdictWanted outcome.Verdict, class outcome.Class, inDoubt bool) *outcome.Error {
	t.Helper()
	e := verdict(t, err)
	if e.Verdict != verdictWanted || e.Class != class || e.InDoubt != inDoubt {
		t.Errorf("verdict %v, class %s, in doubt %v; want %v, %s, %v (%v)", e.Verdict, e.Class, e.InDoubt, verdictWanted, class, inDoubt, err)
	}
	return e
}
