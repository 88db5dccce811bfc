package distributor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"sync"

	"distributor-bridge/internal/draft"
	"distributor-bridge/internal/outcome"
)

// body is a request's body, made anew for each HTTP request. The zero one is none.
type body struct {
	io.ReadCloser
	contentType string
	length      int64
	failed      func() error // of a document: why its content could not be read, if it was not the API's fault
}

// close has to be called once, whether the body was written or not; and not twice: its memory may be another's by then.
func (b *body) close() {
	if b.ReadCloser != nil {
		_ = b.Close()
	}
}

var errLength = errors.New("the body has another length than the header says")

// writeTo writes the body, if there is one.
func (b *body) writeTo(w io.Writer) error {
	if b.ReadCloser == nil {
		return nil
	}
	n, err := io.Copy(w, b.ReadCloser)
	if err == nil && n != b.length {
		err = errLength
	}
	return err
}

// jsonBody gives v as JSON.
func jsonBody(v any) (body, error) {
	d := draft.New()
	if err := d.JSON(v); err != nil {
		_ = d.Close()
		return body{}, err
	}
	return body{ReadCloser: d, contentType: "application/json", length: int64(d.Len())}, nil
}

// multipartBody gives a form with the document in the field "file". All of it but the document follows from the key and
// the document's description; the length is known before the document is read.
func multipartBody(ctx context.Context, key Key, d *Document) (body, error) {
	if d.Size < 0 {
		return body{}, outcome.Reject(outcome.DocumentMismatch)
	}
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame)
	if err := w.SetBoundary("bridge-" + key.String()); err != nil {
		return body{}, err
	}
	_, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", d.Name)},
		"Content-Type":        {mediaType(d.ContentType)},
	})
	if err != nil {
		return body{}, err
	}
	head := bytes.Clone(frame.Bytes())
	if err := w.Close(); err != nil {
		return body{}, err
	}
	tail := frame.Bytes()[len(head):]

	file, err := d.Open(ctx)
	if err != nil {
		return body{}, err
	}
	exact := &exactReader{r: file, left: d.Size}
	return body{
		ReadCloser:  readCloser{io.MultiReader(bytes.NewReader(head), exact, bytes.NewReader(tail)), file},
		contentType: w.FormDataContentType(),
		length:      int64(len(head)) + d.Size + int64(len(tail)),
		failed:      exact.failed,
	}, nil
}

// mediaType gives t, or that of any bytes if t is no media type and could not stand in a header.
func mediaType(t string) string {
	if _, _, err := mime.ParseMediaType(t); err != nil {
		return "application/octet-stream"
	}
	return t
}

type readCloser struct {
	io.Reader
	io.Closer
}

// exactReader gives the bytes of r, and io.EOF only after r has told io.EOF after the promised size. What follows it in
// the request is therefore sent only when the document is known to be right.
type exactReader struct {
	r    io.Reader
	left int64

	mu  sync.Mutex // the document may be read on while the call ends
	err error      // why the content could not be read
}

func (e *exactReader) Read(p []byte) (int, error) {
	if int64(len(p)) > e.left+1 {
		p = p[:e.left+1] // one more than promised is enough to know
	}
	n, err := e.r.Read(p)
	if int64(n) > e.left || err == io.EOF && int64(n) < e.left {
		return 0, e.fail(outcome.Reject(outcome.DocumentMismatch))
	}
	e.left -= int64(n)
	if err != nil && err != io.EOF {
		return n, e.fail(err)
	}
	return n, err
}

func (e *exactReader) fail(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
	return err
}

func (e *exactReader) failed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
