package distributor

import (
	"context"
	"io"
)

// Document is what UploadDocument sends.
type Document struct {
	personal
	Name        string // the file's name
	ContentType string // a media type; application/octet-stream if it is none
	Size        int64  // in bytes; the upload fails, before the API has it whole, if the content has another size

	// Open gives the content. It is called once for each HTTP request, and its ctx ends with the request. An error of it,
	// or of the reader, is given back as the verdict that it is: nothing was uploaded then. The reader is closed, maybe
	// after UploadDocument has returned. The API gets the last bytes of the request only after the reader has told io.EOF.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// UploadDocument sends a document as it is read: POST documents/, multipart, in the field "file" [G1][G2]. The bytes of
// the request are a function of the document and the key, so that a repeat sends the same ones.
func (c *Client) UploadDocument(ctx context.Context, key Key, d Document) (Created, error) {
	var a Created
	err := c.do(ctx, request{op: opUploadDocument, key: key, document: &d}, &a)
	return a, err
}
