package distributor_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// document gives a document with the given content, read through wrap.
func document(content string, wrap func(io.Reader) io.Reader) distributor.Document {
	return distributor.Document{
		Name:        `proof "of" register.pdf`,
		ContentType: "application/pdf",
		Size:        int64(len(content)),
		Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(wrap(strings.NewReader(content))), nil
		},
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "x", strings.Repeat("content ", 100_000)} {
		a := newAPI(t, says(http.StatusCreated, `{"id":"`+someID+`"}`))
		c := a.client()
		key := newKey()
		wraps := []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r },
			iotest.HalfReader,
			iotest.DataErrReader, // io.EOF together with the last bytes
		}
		for _, wrap := range wraps {
			got, err := c.UploadDocument(t.Context(), key, document(content, wrap))
			if err != nil || got.ID != someID {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		calls := a.seen()
		for _, call := range calls[1:] {
			if call != calls[0] {
				t.Error("a repeat has other bytes")
			}
		}
		mediaType, params, err := mime.ParseMediaType(calls[0].contentType)
		if err != nil || mediaType != "multipart/form-data" || calls[0].path != "/documents/" || calls[0].method != "POST" {
			t.Fatalf("%s %s %s", calls[0].method, calls[0].path, calls[0].contentType)
		}
		form := multipart.NewReader(strings.NewReader(calls[0].body), params["boundary"])
		part, err := form.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		sent, err := io.ReadAll(part)
		if err != nil || string(sent) != content {
			t.Errorf("content of %d bytes, want %d: %v", len(sent), len(content), err)
		}
		if part.FormName() != "file" || part.FileName() != `proof "of" register.pdf` || part.Header.Get("Content-Type") != "application/pdf" {
			t.Errorf("part %v", part.Header)
		}
		if _, err := form.NextPart(); err != io.EOF {
			t.Errorf("after the file: %v", err)
		}
		if _, err := c.UploadDocument(t.Context(), newKey(), document(content, wraps[0])); err != nil {
			t.Fatal(err)
		}
		if calls := a.seen(); calls[len(calls)-1].contentType == calls[0].contentType {
			t.Error("another key has the same boundary")
		}
	}
}

func TestUploadHeaderCannotBeBroken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, says(http.StatusCreated, `{"id":"`+someID+`"}`))
	d := document("content", func(r io.Reader) io.Reader { return r })
	d.Name = "a\r\nX-Evil: 1\r\n\r\nb"
	d.ContentType = "text/plain\r\nX-Evil: 1"
	if _, err := a.client().UploadDocument(t.Context(), newKey(), d); err != nil {
		t.Fatal(err)
	}
	call := a.seen()[0]
	_, params, _ := mime.ParseMediaType(call.contentType)
	part, err := multipart.NewReader(strings.NewReader(call.body), params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Header) != 2 || part.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("part %v", part.Header)
	}
}

// TestUploadThatFails: whatever goes wrong with the content, the API never gets a request that it could take for whole,
// and the verdict is that of the content.
func TestUploadThatFails(t *testing.T) {
	t.Parallel()
	const size = 300_000
	content := strings.Repeat("x", size)
	gone := outcome.Reject(outcome.DocumentGone)
	for name, test := range map[string]struct {
		open    func() (io.Reader, error)
		early   int // an answer that does not wait for the request's end; 0 for none
		verdict outcome.Verdict
		reason  outcome.Reason
		class   outcome.Class
	}{
		"one byte short": {open: func() (io.Reader, error) { return strings.NewReader(content[1:]), nil },
			verdict: outcome.Rejected, reason: outcome.DocumentMismatch, class: outcome.ClassEvent},
		"one byte long": {open: func() (io.Reader, error) { return strings.NewReader(content + "x"), nil },
			verdict: outcome.Rejected, reason: outcome.DocumentMismatch, class: outcome.ClassEvent},
		"empty": {open: func() (io.Reader, error) { return strings.NewReader(""), nil },
			verdict: outcome.Rejected, reason: outcome.DocumentMismatch, class: outcome.ClassEvent},
		"verdict at the end": {open: func() (io.Reader, error) {
			return io.MultiReader(strings.NewReader(content), iotest.ErrReader(gone)), nil
		}, verdict: outcome.Rejected, reason: outcome.DocumentGone, class: outcome.ClassEvent},
		"verdict before the last byte": {open: func() (io.Reader, error) {
			return io.MultiReader(strings.NewReader(content[1:]), iotest.ErrReader(gone)), nil
		}, verdict: outcome.Rejected, reason: outcome.DocumentGone, class: outcome.ClassEvent},
		"an error without a verdict": {open: func() (io.Reader, error) {
			return io.MultiReader(strings.NewReader(content[1:]), iotest.ErrReader(errors.New("GEHEIM"))), nil
		}, verdict: outcome.Retrying, reason: outcome.Temporary, class: outcome.ClassInternal},
		"open gives a verdict": {open: func() (io.Reader, error) { return nil, gone },
			verdict: outcome.Rejected, reason: outcome.DocumentGone, class: outcome.ClassEvent},
		"open gives an error": {open: func() (io.Reader, error) { return nil, errors.New("GEHEIM") },
			verdict: outcome.Retrying, reason: outcome.Temporary, class: outcome.ClassInternal},
		"the API refuses what is cut off": {open: func() (io.Reader, error) {
			return io.MultiReader(strings.NewReader(content[1:]), iotest.ErrReader(gone)), nil
		}, early: http.StatusBadRequest, verdict: outcome.Rejected, reason: outcome.DocumentGone, class: outcome.ClassEvent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var whole atomic.Bool
			a := newAPI(t, nil)
			a.raw = func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				if err == nil || n == r.ContentLength {
					whole.Store(true)
				}
				if test.early != 0 {
					w.WriteHeader(test.early)
				}
			}
			c := a.client()
			d := distributor.Document{Name: "GEHEIM", Size: size, Open: func(context.Context) (io.ReadCloser, error) {
				r, err := test.open()
				return io.NopCloser(r), err
			}}
			_, err := c.UploadDocument(t.Context(), newKey(), d)
			if e := wantVerdict(t, err, test.verdict, test.class, false); e.Reason != test.reason {
				t.Errorf("reason %s", e.Reason)
			}
			a.Close() // waits for the handler
			if whole.Load() {
				t.Error("the API got a whole request")
			}
		})
	}
}

// TestUploadOutOfTime: where the call's time ends, the content fails only for that, and the call is in doubt.
func TestUploadOutOfTime(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	c := a.client(func(cfg *distributor.Config) { cfg.Timeouts.Call = 1500 * time.Millisecond })
	d := document("content", nil)
	d.Open = func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readFunc(func([]byte) (int, error) {
			<-ctx.Done()
			return 0, outcome.Retry("document", false, ctx.Err())
		})), nil
	}
	a.raw = func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	_, err := c.UploadDocument(t.Context(), newKey(), d)
	wantVerdict(t, err, outcome.Retrying, outcome.ClassNoAnswer, true)
}

// TestUploadIsReadAnew: the repeat after a 401 opens the document again, and each reader is closed.
func TestUploadIsReadAnew(t *testing.T) {
	t.Parallel()
	a := newAPI(t, says(http.StatusCreated, `{"id":"`+someID+`"}`))
	a.valid = func(token string) bool { return token != "GEHEIM-token-1" }
	var opened, closed atomic.Int32
	d := document("content", nil)
	d.Open = func(context.Context) (io.ReadCloser, error) {
		opened.Add(1)
		return closer{strings.NewReader("content"), func() { closed.Add(1) }}, nil
	}
	c := a.client()
	if _, err := c.UploadDocument(t.Context(), newKey(), d); err != nil {
		t.Fatal(err)
	}
	calls := a.seen()
	if len(calls) != 2 || calls[0].body != calls[1].body || calls[0].key != calls[1].key || calls[0].contentType != calls[1].contentType {
		t.Errorf("%d calls, or other bytes", len(calls))
	}
	a.Close()
	if opened.Load() != 2 || closed.Load() != 2 {
		t.Errorf("opened %d, closed %d", opened.Load(), closed.Load())
	}
}

type closer struct {
	io.Reader
	close func()
}

func (c closer) Close() error { c.close(); return nil }

// TestUploadStreams: a large document goes through a little memory. Its reader gives nothing that is far ahead of what
// the server has, so that a client that reads it whole first waits forever.
//
// It is not parallel, since it counts what the whole process allocates.
func TestUploadStreams(t *testing.T) {
	const size, window = 20 << 20, 12 << 20 // the window is more than the sockets' buffers hold
	flow := &flow{}
	flow.moved = sync.NewCond(&flow.mu)
	sum := sha256.New()
	a := newAPI(t, nil)
	a.raw = func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength <= size || len(r.TransferEncoding) != 0 {
			t.Errorf("length %d, %v", r.ContentLength, r.TransferEncoding)
		}
		_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		part, err := multipart.NewReader(flow.counted(r.Body), params["boundary"]).NextPart()
		if err == nil {
			_, err = io.Copy(sum, part)
		}
		if err != nil {
			t.Error(err)
		}
		says(http.StatusCreated, `{"id":"`+someID+`"}`)(w, r)
	}
	c := a.client()
	want := sha256.New()
	d := distributor.Document{Name: "large", Size: size, Open: func(context.Context) (io.ReadCloser, error) {
		source := io.LimitReader(endless{}, size)
		return io.NopCloser(flow.paced(io.TeeReader(source, want), window)), nil
	}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.UploadDocument(t.Context(), newKey(), d); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Error("other bytes arrived")
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes allocated for a document of %d", used, size)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// flow ties a reader to what has arrived at the other end.
type flow struct {
	mu      sync.Mutex
	moved   *sync.Cond
	arrived int64
}

// counted counts what arrives.
func (f *flow) counted(r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.arrived += int64(n)
		f.moved.Broadcast()
		return n, err
	})
}

// paced gives no more than window bytes that have not arrived.
func (f *flow) paced(r io.Reader, window int64) io.Reader {
	var given int64
	return readFunc(func(p []byte) (int, error) {
		f.mu.Lock()
		for given-f.arrived > window {
			f.moved.Wait()
		}
		f.mu.Unlock()
		n, err := r.Read(p)
		given += int64(n)
		return n, err
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestDocumentIsAnsweredEarly: an answer counts although the server has not taken the whole document, and whether it then ends the
// connection or just takes no more of it.
func TestDocumentIsAnsweredEarly(t *testing.T) {
	t.Parallel()
	for name, goOn := range map[string]bool{"and closes": false, "and hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hang := make(chan struct{})
			s := newRawServer(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
				if goOn {
					<-hang
				}
				time.Sleep(100 * time.Millisecond) // an end with unread bytes takes the answer along, on its way
				return false
			})
			c := s.client(t)
			t.Cleanup(func() { close(hang) })
			closed := make(chan struct{})
			d := distributor.Document{Name: "large", Size: 64 << 20, Open: func(context.Context) (io.ReadCloser, error) {
				return closer{io.LimitReader(endless{}, 64<<20), func() { close(closed) }}, nil
			}}
			start := time.Now()
			_, err := c.UploadDocument(t.Context(), newKey(), d)
			e := wantVerdict(t, err, outcome.Rejected, outcome.ClassClient, false)
			if e.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("status %d", e.Status)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s: the rest of the document was waited for", took)
			}
			<-closed // or the test's limit
		})
	}
}

// TestDocumentThatGetsNoAnswer is in doubt, whenever the connection ends.
func TestDocumentThatGetsNoAnswer(t *testing.T) {
	t.Parallel()
	s := newRawServer(t, func(net.Conn, int) bool { return false })
	c := s.client(t)
	for range 20 {
		d := document("content", func(r io.Reader) io.Reader { return r })
		_, err := c.UploadDocument(t.Context(), newKey(), d)
		wantVerdict(t, err, outcome.Retrying, outcome.ClassNoAnswer, true)
	}
}
