package handlers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"distributor-bridge/handlers"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// The offerings of the tests.
const (
	campaign      = "0f6f3c6e-6a0c-4d0c-9b1e-2f3a4b5c6d7e"
	product       = "7d9b2a10-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
	otherCampaign = "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"
	otherProduct  = "1b2c3d4e-5f6a-4b7c-9d8e-0f1a2b3c4d5e"
)

// world is the API as the sandbox serves it, a client of it, the handlers, and an engine in place of the consumer. It
// lives in one synctest bubble: all talk goes over pipes.
type world struct {
	*engine
	t       *testing.T
	dir     string // of the case
	sandbox *sandbox.Server

	mu      sync.Mutex
	bodies  []string // of the requests, as the golden files show them
	faulted bool
	arrives func(*http.Request) // if set, is called with each request before the API sees it
	begin   int                 // how many calls belong to what was given
	before  int                 // how many of the places to crash at do
}

func newWorld(t *testing.T, c testCase, crashAt int) *world {
	t.Helper()
	cfg := sandbox.Config{
		ClientID: "client", ClientSecret: "secret", Seed: 1,
		Campaigns: []sandbox.Campaign{
			{CampaignID: campaign, ProductID: product}, {CampaignID: otherCampaign, ProductID: otherProduct},
		},
	}
	if c.sandbox != nil {
		c.sandbox(&cfg)
	}
	w := &world{t: t, dir: filepath.Join("testdata", filepath.FromSlash(c.name))}
	var err error
	if w.sandbox, err = sandbox.New(cfg); err != nil {
		t.Fatal(err)
	}
	dial := w.serve()

	api, err := distributor.New(distributor.Config{
		BaseURL: "http://127.0.0.1/api/external", AllowPlainHTTP: true, ClientID: "client", ClientSecret: "secret", Dial: dial,
		Scopes: []string{
			sandbox.ScopeInvestorsRead, sandbox.ScopeInvestorsWrite, sandbox.ScopeInvestmentsRead,
			sandbox.ScopeInvestmentsWrite, sandbox.ScopeDocumentsWrite,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	root, err := filepath.Abs("testdata/documents")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := documents.New(documents.Config{FileRoot: root, MaxBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fetcher.Close)

	handling := handlers.Config{API: api, Documents: fetcher, Offerings: map[string]handlers.Offering{
		"bond-2026":  {Campaign: campaign, Product: product},
		"green-bond": {Campaign: otherCampaign, Product: otherProduct},
	}}
	if c.handlers != nil {
		c.handlers(&handling)
	}
	h, err := handlers.New(handling)
	if err != nil {
		t.Fatal(err)
	}
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	w.engine = newEngine(t, h, contract, crashAt)
	return w
}

// serve serves the sandbox on pipes, until the test ends, and gives what dials it.
func (w *world) serve() func(context.Context, string, string) (net.Conn, error) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: w.record(w.sandbox.Handler())}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	w.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			w.t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
	})
	return l.dial
}

// record notes the body of each request but those for a token.
func (w *world) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/oauth/token") {
			next.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
		} else {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		}
		if w.arrives != nil {
			w.arrives(r)
		}
		w.mu.Lock()
		w.bodies = append(w.bodies, describe(r.Header.Get("Content-Type"), body))
		w.mu.Unlock()
		next.ServeHTTP(rw, r)
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// brokenOff is the body of an upload that did not arrive whole.
const brokenOff = "broken off"

// describe gives a body as the golden files show it: JSON as it is, a document by its name, type and size.
func describe(contentType string, body []byte) string {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" {
		return string(body)
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		return brokenOff
	}
	file := form.File["file"][0]
	return strings.Join([]string{"file", file.Filename, file.Header.Get("Content-Type")}, " ")
}

// fault sets a fault of the sandbox.
func (w *world) fault(f sandbox.Fault) {
	w.faulted = true
	w.sandbox.Fault(f)
}

// given does an event that the golden files do not show, from testdata/given.
func (w *world) given(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.deliver(w.load(filepath.Join("testdata", "given", name+".json")))
		w.settle()
	}
	w.begin, w.before = w.calls(), w.places
	w.published = nil
}

// handle does an event of the case's folder, and whatever follows within the next five minutes.
func (w *world) handle(name string) {
	w.t.Helper()
	w.submit(name)
	w.settle()
}

// submit puts an event of the case's folder into the inbox.
func (w *world) submit(name string) {
	w.t.Helper()
	w.deliver(w.load(filepath.Join(w.dir, name+".json")))
}

func (w *world) load(file string) schemas.Event {
	w.t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, id := range w.ids() { // an event can name what the sandbox made: {investor-1}
		raw = bytes.ReplaceAll(raw, []byte(name), []byte(id))
	}
	e, err := w.contract.Decode(raw, []schemas.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}})
	if err == nil {
		err = w.contract.Validate(e)
	}
	if err != nil {
		w.t.Fatalf("%s: %v", file, err)
	}
	return e
}

// calls counts the calls made so far, without those for a token.
func (w *world) calls() int {
	n := 0
	for _, c := range w.sandbox.Calls() {
		if c.Operation != "token" {
			n++
		}
	}
	return n
}

// investment gives the ID of an order's investment.
func (w *world) investment(customer, order string) string {
	w.t.Helper()
	o := w.objects[customer]["order/"+order].Order
	if o == nil || o.InvestmentID == "" {
		w.t.Fatalf("order %s has no investment", order)
	}
	return o.InvestmentID
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
