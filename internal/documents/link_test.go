package documents_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"
)

func host(t *testing.T, answer http.HandlerFunc, changes ...func(*documents.Config)) (base string, f *documents.Fetcher) {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	cfg := documents.Config{AllowedHosts: []string{strings.TrimPrefix(s.URL, "https://")}, AllowPrivate: true, RootCAs: pool}
	for _, change := range changes {
		change(&cfg)
	}
	return s.URL, newFetcher(t, cfg)
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func raw(t *testing.T, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	stall := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	length := fmt.Sprint("Content-Length: ", len(content))
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		verdict outcome.Verdict
		reason  outcome.Reason
	}{
		"404":               {says(404, "GEHEIM"), outcome.Rejected, outcome.DocumentGone},
		"410":               {says(410, ""), outcome.Rejected, outcome.DocumentGone},
		"403, link expired": {says(403, "GEHEIM"), outcome.Rejected, outcome.DocumentGone},
		"400":               {says(400, ""), outcome.Rejected, outcome.DocumentGone},
		"204":               {says(204, ""), outcome.Rejected, outcome.DocumentMismatch},
		"206":               {says(206, content), outcome.Rejected, outcome.DocumentMismatch},
		"redirect":          {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/GEHEIM2", http.StatusFound) }, outcome.Rejected, outcome.DocumentRefusedLink},
		"408":               {says(408, ""), outcome.Retrying, outcome.Temporary},
		"500":               {says(500, "GEHEIM"), outcome.Retrying, outcome.Temporary},
		"503":               {says(503, ""), outcome.Retrying, outcome.Temporary},
		"no answer":         {raw(t, ""), outcome.Retrying, outcome.Temporary},
		"not HTTP":          {raw(t, "GEHEIM\r\n\r\n"), outcome.Retrying, outcome.Temporary},
		"half of it":        {raw(t, "HTTP/1.1 200 OK\r\n"+length+"\r\n\r\n"+content[:20]), outcome.Retrying, outcome.Temporary},
		"half, unframed":    {raw(t, "HTTP/1.1 200 OK\r\n\r\n"+content[:20]), outcome.Retrying, outcome.Temporary},
		"half a chunk":      {raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nGEH"), outcome.Retrying, outcome.Temporary},
		"whole, unframed":   {raw(t, "HTTP/1.1 200 OK\r\n\r\n"+content), outcome.Done, ""},
		"no header for so":  {stall, outcome.Retrying, outcome.Temporary},
		"no body for long": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, content[:20])
			_ = http.NewResponseController(w).Flush()
			stall(w, r)
		}, outcome.Retrying, outcome.Temporary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, f := host(t, test.answer, func(cfg *documents.Config) {
				cfg.Timeouts.FirstByte, cfg.Timeouts.Fetch = 300*time.Millisecond, 600*time.Millisecond
			})
			_, err := read(t, f, ref(content, base+"/GEHEIM"))
			if test.verdict == outcome.Done {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantVerdict(t, err, test.verdict, test.reason)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "99999": time.Hour, "GEHEIM": 0, "": 0} {
		base, f := host(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(429)
		})
		_, err := read(t, f, ref(content, base))
		if e := wantVerdict(t, err, outcome.Retrying, outcome.Temporary); e.After != want || e.Status != 429 {
			t.Errorf("%q: after %v, status %d", header, e.After, e.Status)
		}
	}
}

func TestRefusedLinks(t *testing.T) {
	t.Parallel()
	called := false
	base, f := host(t, func(http.ResponseWriter, *http.Request) { called = true })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{
		"http://" + u.Host + "/GEHEIM",
		"https://GEHEIM.example/x",
		"https://" + u.Hostname() + "/GEHEIM", // port 443 is not the one allowed
		"https://user:GEHEIM@" + u.Host + "/",
		"https://" + u.Host + "@GEHEIM.example/",
		"https:" + u.Host,
		"//" + u.Host + "/GEHEIM",
		"ftp://" + u.Host, "data:text/plain,GEHEIM", "GEHEIM", "https://%zz",
		"file:///etc/passwd", // no root
	} {
		_, err := read(t, f, ref(content, link))
		wantVerdict(t, err, outcome.Rejected, outcome.DocumentRefusedLink)
	}
	if called {
		t.Error("the host was called")
	}
}

func TestPrivateAddress(t *testing.T) {
	t.Parallel()
	called := false
	base, _ := host(t, func(http.ResponseWriter, *http.Request) { called = true })
	_, port, _ := strings.Cut(strings.TrimPrefix(base, "https://"), ":")
	for _, name := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"} {
		f := newFetcher(t, documents.Config{AllowedHosts: []string{name + ":" + port}})
		_, err := read(t, f, ref(content, "https://"+name+":"+port+"/GEHEIM"))
		wantVerdict(t, err, outcome.Rejected, outcome.DocumentRefusedLink)
	}
	if called {
		t.Error("the host was called")
	}
}

func TestCertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	base, f := host(t, says(200, content), func(cfg *documents.Config) { cfg.RootCAs = nil })
	_, err := read(t, f, ref(content, base))
	wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	base, f := host(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, content[:20])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := f.Open(ctx, ref(content, base))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rc.Close() }()
	if _, err := io.ReadFull(rc, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.ReadAll(rc)
	wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cause: %v", err)
	}
}

// lingering is a connection that is closed a little after its Close, so that what comes meanwhile is still read.
type lingering struct{ net.Conn }

func (c lingering) Close() error {
	time.Sleep(50 * time.Millisecond)
	return c.Conn.Close()
}

// A host that sees its client hang up may end its body in good form: the document is late, not wrong.
func TestEndAfterTimeout(t *testing.T) {
	t.Parallel()
	base, f := host(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, content[:20])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(cfg *documents.Config) {
		cfg.Timeouts.Fetch = 300 * time.Millisecond
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return lingering{conn}, err
		}
	})
	_, err := read(t, f, ref(content, base))
	wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
}

func TestStreams(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	goOn := make(chan struct{})
	base, f := host(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(large[:1000])
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = w.Write(large[1000:])
	})
	rc, err := f.Open(t.Context(), ref(string(large), base))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rc.Close() }()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(rc, first); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	rest, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(append(first, rest...), large) {
		t.Errorf("%d bytes: %v", len(rest), err)
	}
}
