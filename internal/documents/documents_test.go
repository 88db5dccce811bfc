package documents_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const content = "GEHEIM: what the document says, of some length"

// ref gives a right reference to content at url; an empty url makes it inline.

func ref(content, url string) documents.Ref {
	sum := sha256.Sum256([]byte(content))
	r := documents.Ref{Name: "GEHEIM.pdf", ContentType: "application/pdf", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), URL: url}
	if url == "" {
		r.Content = base64.StdEncoding.EncodeToString([]byte(content))
	}
	return r
}

func newFetcher(t *testing.T, cfg documents.Config) *documents.Fetcher {
	t.Helper()
	f, err := documents.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// read opens and reads a document, and gives what came before the end.

func read(t *testing.T, f *documents.Fetcher, r documents.Ref) ([]byte, error) {
	t.Helper()
	rc, err := f.Open(t.Context(), r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rc.Close() }()
	return io.ReadAll(rc)
}

// wantVerdict holds err to a verdict, and to telling nothing.

func wantVerdict(t *testing.T, err error, verdict outcome.Verdict, reason outcome.Reason) *outcome.Error {
	t.Helper()
	var e *outcome.Error
	if !errors.As(err, &e) {
		t.Fatalf("no verdict: %v", err)
	}
	if e.Verdict != verdict || e.Reason != reason || e.InDoubt {
		t.Errorf("%v, in doubt %v; want %v: %v", err, e.InDoubt, verdict, reason)
	}
	if verdict == outcome.Retrying && e.Class != "document" {
		t.Errorf("class %s", e.Class)
	}
	if s := fmt.Sprintf("%v %+v", err, *e); strings.Contains(s, "GEHEIM") || strings.Contains(s, "127.0.0.1") {
		t.Errorf("the error tells what it must not: %s", s)
	}
	return e
}

// host is a server of documents, with a fetcher that may go there.

// raw answers with these bytes and cuts the connection off.

func TestGoodDocuments(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	large := strings.Repeat("large ", 500_000)
	for _, content := range []string{content, "x", large} {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprint(len(content), " ü.pdf")), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		link, f := host(t, says(http.StatusOK, content), func(cfg *documents.Config) { cfg.FileRoot = root })
		for name, url := range map[string]string{
			"inline": "",
			"link":   link + "/GEHEIM?signature=GEHEIM#x",
			"file":   fmt.Sprintf("file:///%d%%20%%C3%%BC.pdf", len(content)),
		} {
			t.Run(fmt.Sprint(name, len(content)), func(t *testing.T) {
				got, err := read(t, f, ref(content, url))
				if err != nil || string(got) != content {
					t.Errorf("%d bytes of %d: %v", len(got), len(content), err)
				}
				upper := ref(content, url)
				upper.SHA256 = strings.ToUpper(upper.SHA256)
				if _, err := read(t, f, upper); err != nil {
					t.Errorf("hash in capitals: %v", err)
				}
				rc, err := f.Open(t.Context(), ref(content, url))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = rc.Close() }()
				if len(content) < 1000 { // it reads byte by byte
					if err := iotest.TestReader(rc, []byte(content)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// TestWrongDocuments: whoever needs Size bytes never gets them.

func TestWrongDocuments(t *testing.T) {
	t.Parallel()
	other := strings.ToUpper(content)
	lastByte := content[:len(content)-1] + "X"
	for name, sent := range map[string]string{
		"other bytes": other, "other last byte": lastByte,
		"shorter": content[1:], "longer": content + "x", "empty": "", "twice": content + content,
	} {
		chunked, f := host(t, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, sent)
		})
		told, g := host(t, says(http.StatusOK, sent))
		inline := ref(content, "")
		inline.Content = base64.StdEncoding.EncodeToString([]byte(sent))
		if sent == "" {
			inline.Content = "===="
		}
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "f"), []byte(sent), 0o600); err != nil {
			t.Fatal(err)
		}
		for way, open := range map[string]func() ([]byte, error){
			"chunked": func() ([]byte, error) { return read(t, f, ref(content, chunked+"/GEHEIM")) },
			"told":    func() ([]byte, error) { return read(t, g, ref(content, told+"/GEHEIM")) },
			"inline":  func() ([]byte, error) { return read(t, g, inline) },
			"file": func() ([]byte, error) {
				return read(t, newFetcher(t, documents.Config{FileRoot: root}), ref(content, "file:///f"))
			},
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				got, err := open()
				wantVerdict(t, err, outcome.Rejected, outcome.DocumentMismatch)
				if len(got) >= len(content) {
					t.Errorf("%d bytes were given, of %d", len(got), len(content))
				}
			})
		}
	}
}

func TestInlineThatIsNoBase64(t *testing.T) {
	t.Parallel()
	f := newFetcher(t, documents.Config{})
	r := ref(content, "")
	r.Content = r.Content[:10] + "*" + r.Content[11:]
	_, err := read(t, f, r)
	wantVerdict(t, err, outcome.Rejected, outcome.DocumentMismatch)
}

// TestErrorStays: a reader that has failed never goes on.

func TestErrorStays(t *testing.T) {
	t.Parallel()
	f := newFetcher(t, documents.Config{})
	r := ref(content, "")
	r.SHA256 = strings.Repeat("0", 64)
	rc, err := f.Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, rc)
	for range 3 {
		n, err := rc.Read(make([]byte, 100))
		if n != 0 {
			t.Errorf("%d bytes after the error", n)
		}
		wantVerdict(t, err, outcome.Rejected, outcome.DocumentMismatch)
	}
}

func TestIncompleteReferences(t *testing.T) {
	t.Parallel()
	f := newFetcher(t, documents.Config{MaxBytes: int64(len(content))})
	for name, test := range map[string]struct {
		change func(*documents.Ref)
		reason outcome.Reason
	}{
		"no size":     {func(r *documents.Ref) { r.Size = 0 }, outcome.Invalid},
		"below zero":  {func(r *documents.Ref) { r.Size = -1 }, outcome.Invalid},
		"no hash":     {func(r *documents.Ref) { r.SHA256 = "" }, outcome.Invalid},
		"half a hash": {func(r *documents.Ref) { r.SHA256 = r.SHA256[:32] }, outcome.Invalid},
		"no hex":      {func(r *documents.Ref) { r.SHA256 = strings.Repeat("x", 64) }, outcome.Invalid},
		"nowhere":     {func(r *documents.Ref) { r.Content = "" }, outcome.Invalid},
		"two places":  {func(r *documents.Ref) { r.URL = "https://GEHEIM" }, outcome.Invalid},
		"too large":   {func(r *documents.Ref) { r.Size++ }, outcome.DocumentTooLarge},
		"at the edge": {func(*documents.Ref) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := ref(content, "")
			test.change(&r)
			_, err := read(t, f, r)
			if test.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantVerdict(t, err, outcome.Rejected, test.reason)
		})
	}
}

// TestPrivateAddress: an allowed name that leads to a private address is refused when it is dialed, thus after DNS.

// TestStreams: the first bytes are there before the last ones have been sent.

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cfg  documents.Config
		want int // problems
	}{
		"zero":         {documents.Config{}, 0},
		"hosts":        {documents.Config{AllowedHosts: []string{"a.example", "b.example:8443", "[::1]:1"}}, 0},
		"bad hosts":    {documents.Config{AllowedHosts: []string{"", "https://a", "a/b", "u@a", "a:", "a:b"}}, 6},
		"no root":      {documents.Config{FileRoot: "/GEHEIM/nowhere"}, 1},
		"guard is off": {documents.Config{Dial: (&http.Transport{}).DialContext}, 0},
		"all":          {documents.Config{AllowedHosts: []string{""}, FileRoot: "/GEHEIM", MaxBytes: -1}, 3},
	} {
		err := test.cfg.Validate()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if n := len(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })); n != test.want || strings.Contains(text, "GEHEIM") {
			t.Errorf("%s: %d problems, want %d: %s", name, n, test.want, text)
		}
		if _, newErr := documents.New(test.cfg); (newErr == nil) != (err == nil) {
			t.Errorf("%s: New: %v", name, newErr)
		}
	}
}

func TestRefDoesNotShowItself(t *testing.T) {
	t.Parallel()
	r := ref(content, "https://GEHEIM.example")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, r) + fmt.Sprintf(format, []documents.Ref{r}); strings.Contains(s, "GEHEIM") {
			t.Errorf("%s: %s", format, s)
		}
	}
}
