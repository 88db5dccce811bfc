package bridge_test

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans as OTLP says.
type collector struct {
	answer http.HandlerFunc // if set: instead

	mu    sync.Mutex
	spans []*pb.Span
	text  []string    // all that came, as people see it
	said  http.Header // with the last request
}

// collect gives a world a collector.
func collect(w *world) *collector {
	ln, c := newPipeListener(), &collector{}
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln)
	}()
	w.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	w.cfg.Traces.OTLPEndpoint, w.cfg.TracesDial = "http://127.0.0.1:4318", ln.dial
	return c
}

// ServeHTTP takes one request.
func (c *collector) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if c.answer != nil {
		c.answer(rw, r)
		return
	}
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(rw, "not OTLP", http.StatusBadRequest)
		return
	}
	plain, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	raw, err := io.ReadAll(plain)
	var data pb.TracesData
	if err == nil {
		err = proto.Unmarshal(raw, &data)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text, c.said = append(c.text, data.String()), r.Header
	for _, of := range data.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// header gives one of the last request's.
func (c *collector) header(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.Get(name)
}

// traces gives the IDs of all traces.
func (c *collector) traces() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]bool{}
	for _, s := range c.spans {
		found[hex.EncodeToString(s.GetTraceId())] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// of gives the spans of a trace by their ID, in the order of their begin.
func (c *collector) of(trace string) []*pb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(c.spans), func(s *pb.Span) bool { return hex.EncodeToString(s.GetTraceId()) != trace })
	slices.SortStableFunc(all, func(a, b *pb.Span) int { return int(a.GetStartTimeUnixNano()) - int(b.GetStartTimeUnixNano()) })
	return all
}

func (c *collector) find(span string) *pb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetSpanId()) == span {
			return s
		}
	}
	return nil
}

// want compares the ways from upstream's span to each span of a trace. A span whose parent is not there fails the test.
func (c *collector) want(t *testing.T, trace, root string, want ...string) {
	t.Helper()
	byID := map[string]*pb.Span{}
	for _, s := range c.of(trace) {
		if id := hex.EncodeToString(s.GetSpanId()); byID[id] != nil {
			t.Errorf("two spans have the ID %s", id)
		} else {
			byID[id] = s
		}
	}
	var path func(s *pb.Span) string
	path = func(s *pb.Span) string {
		parent := hex.EncodeToString(s.GetParentSpanId())
		switch above := byID[parent]; {
		case parent == root:
			return s.GetName()
		case above == nil:
			t.Errorf("span %s is below %s, which is not there", s.GetName(), parent)
			return s.GetName()
		default:
			return path(above) + " > " + s.GetName()
		}
	}
	got := map[string]bool{}
	for _, s := range byID {
		got[path(s)] = true
	}
	slices.Sort(want)
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, want) {
		t.Errorf("the trace is\n\t%s\nwant\n\t%s", strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// one gives the ID of the only span of a name.
func (c *collector) one(t *testing.T, trace, name string) string {
	t.Helper()
	n := 0
	for _, s := range c.of(trace) {
		if s.GetName() == name {
			n++
		}
	}
	if n != 1 {
		t.Errorf("trace %s has %d spans %q, want one", trace, n, name)
	}
	return c.last(t, trace, name)
}

// last gives the ID of the last span of a name.
func (c *collector) last(t *testing.T, trace, name string) string {
	t.Helper()
	for _, s := range slices.Backward(c.of(trace)) {
		if s.GetName() == name {
			return hex.EncodeToString(s.GetSpanId())
		}
	}
	t.Fatalf("trace %s has no span %q", trace, name)
	return ""
}

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}`)

// tracedCustomer is whose events are traced. Something short could be in a span by chance: their IDs are random bytes.
const tracedCustomer = "customer-of-the-traces"

// discreet fails the test if personal data or a secret is in a span, or an ID of the provider's.
func (c *collector) discreet(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.text) == 0 {
		t.Error("no spans came")
	}
	for _, text := range c.text {
		for _, value := range append([]string{tracedCustomer}, personal...) {
			if strings.Contains(text, value) {
				t.Errorf("spans hold %q", value)
			}
		}
		if id := anyUUID.FindString(text); id != "" {
			t.Errorf("spans hold the ID %s", id)
		}
	}
}
