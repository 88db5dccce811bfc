package sandbox

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

// document is an uploaded file; its bytes are not kept.
type document struct {
	id       string
	investor string // the first investor that it was used for; a document is of no use to another [A]
}

// createDocument takes a file: multipart, one part, named file, with a file name [G1][G2].
func (s *Server) createDocument(c *call) reply {
	media, params, _ := mime.ParseMediaType(c.contentType)
	if media != "multipart/form-data" {
		return detail(http.StatusUnsupportedMediaType, "Unsupported media type %q in request.", c.contentType)
	}
	parts := multipart.NewReader(bytes.NewReader(c.body), params["boundary"])
	part, err := parts.NextPart()
	if errors.Is(err, io.EOF) {
		return refused("file", "No file was submitted.")
	}
	if err != nil {
		return malformedMultipart()
	}
	if part.FormName() != "file" {
		return refused(orDefault(part.FormName(), "file"), "Unknown field.")
	}
	name := part.FileName()
	if name == "" {
		return refused("file", "The submitted data was not a file. Check the encoding type on the form.")
	}
	size, err := io.Copy(io.Discard, part)
	if err != nil {
		return malformedMultipart()
	}
	if size == 0 {
		return refused("file", "The submitted file is empty.")
	}
	if more, err := parts.NextPart(); err == nil {
		return refused(orDefault(more.FormName(), "file"), "Unknown field.")
	} else if !errors.Is(err, io.EOF) {
		return malformedMultipart()
	}
	d := &document{id: newID()}
	s.world.documents[d.id] = d
	s.effect(c, d.id, "")
	return created(s.bare(object{"id": d.id, "name": name, "size": size}))
}

func malformedMultipart() reply {
	return detail(http.StatusBadRequest, "Multipart form parse error.")
}

// foreign says whether a document cannot be used for the investor: it does not exist, or it is another's.
func (w *world) foreign(documentID, investorID string) bool {
	d := w.documents[documentID]
	return d == nil || d.investor != "" && d.investor != investorID
}

func (w *world) use(investorID string, documentIDs ...string) {
	for _, id := range documentIDs {
		if d := w.documents[id]; d != nil {
			d.investor = investorID
		}
	}
}
