// Package documents fetches what events refer to: inline content, https links and files.
//
// What it guarantees:
//
//   - A reader given by Fetcher.Open ends with io.EOF only if its content had exactly the size and the SHA-256 that the
//     event says. It holds back the last byte until it knows: whoever copies it to a place that needs all Size bytes can
//     never complete a wrong document.
//   - Nothing is held whole in memory, but for inline content, which is in the event already.
//   - Links lead only to allowed hosts, by https, to no private address even after DNS, and are not redirected. Files
//     lie beneath the root, even where symbolic links lead.
//   - A host that is down is left alone but for one fetch now and then; links to it fail at once, other hosts' do not.
//   - Every error is a verdict of package outcome, and never in doubt, since a fetch has no effect. No error holds a link,
//     a path, a name or content.
//
// It knows nothing of events and of the API.
package documents

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"distributor-bridge/internal/outcome"
)

// Ref says what a document is and where its content is: exactly one of Content and URL is set.
type Ref struct {
	Name        string // the file's name; for the upload, not used here
	ContentType string // the media type; for the upload, not used here
	Size        int64  // in bytes, at least 1
	SHA256      string // 64 hexadecimal digits
	Content     string // inline: base64, standard alphabet, padded
	URL         string // https://host/…, or file:///path, where the path is relative to the root
}

// Format writes a placeholder: names, contents and links do not belong into a log.
func (Ref) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[document]")) }

// Fetcher opens documents. It is safe for use by any number of goroutines.
type Fetcher struct {
	cfg    Config
	hosts  map[string]*host // allowed, each as host:port in lower case
	client *http.Client
}

// New makes a fetcher. It starts nothing; an error names all problems of the configuration at once.
func New(cfg Config) (*Fetcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	hosts := make(map[string]*host, len(cfg.AllowedHosts))
	for _, h := range cfg.AllowedHosts {
		hosts[withPort(h)] = newHost(withPort(h), cfg.Log)
	}
	return &Fetcher{cfg: cfg, hosts: hosts, client: newClient(cfg)}, nil
}

// Close closes the connections that are idle. Readers that are open go on.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Open gives the content of a document. The reader ends with ctx, and has to be closed. An error, of Open or of a Read,
// is one of these verdicts:
//
//	rejected, document_gone          404, 410 or another 4xx: links that have expired answer 403; no such file
//	rejected, document_too_large     more than MaxBytes
//	rejected, document_mismatch      another size or SHA-256, or no base64
//	rejected, document_refused_link  a place that is not allowed, a redirect
//	rejected, invalid                the reference says no size, no SHA-256, or not one place
//	retry                            everything else
func (f *Fetcher) Open(ctx context.Context, ref Ref) (io.ReadCloser, error) {
	sum, err := ref.check()
	if err != nil {
		return nil, err
	}
	if ref.Size > f.cfg.MaxBytes {
		return nil, outcome.Reject(outcome.DocumentTooLarge)
	}
	source, err := f.source(ctx, ref)
	if err != nil {
		return nil, err
	}
	return newVerified(source, ref.Size, sum), nil
}

// source gives the content as it comes.
func (f *Fetcher) source(ctx context.Context, ref Ref) (io.ReadCloser, error) {
	if ref.URL == "" {
		return openInline(ref)
	}
	u, err := url.Parse(ref.URL)
	if err != nil {
		return nil, outcome.Reject(outcome.DocumentRefusedLink)
	}
	switch u.Scheme {
	case "https":
		return f.openLink(ctx, u, ref.Size)
	case "file":
		return f.openFile(u, ref.Size)
	}
	return nil, outcome.Reject(outcome.DocumentRefusedLink)
}
