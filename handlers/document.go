package handlers

import (
	"context"
	"io"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/schemas"
)

// Documents of a customer, in the names of their steps and refs.
const (
	identityProof        = stepDocument + "identity_proof"
	structureProof       = stepDocument + "structure_proof"
	legitimationProtocol = stepDocument + "legitimation_protocol"
)

// uploaded is what tells a document from others.
type uploaded struct {
	Name        string
	ContentType string
	Size        int64
	SHA256      string
}

// upload sends a document to the API as it is fetched, in the step of the given name, and puts its ID into refs under
// that name. A repeat fetches and sends it again: a document that nothing refers to has no effect.
func (h *Handlers) upload(ctx context.Context, r *attempt.Run, step string, d schemas.Document, refs attempt.Refs) error {
	ref := documents.Ref{
		Name: d.Name, ContentType: d.ContentType, Size: d.Size, SHA256: d.SHA256, Content: d.Content, URL: d.URL,
	}
	what := uploaded{d.Name, d.ContentType, d.Size, d.SHA256} // wherever it comes from
	a, err := attempt.Repeat(ctx, r, step, what, func(ctx context.Context, key uuid.UUID) (distributor.Created, error) {
		return h.api.UploadDocument(ctx, distributor.Key(key), distributor.Document{
			Name: d.Name, ContentType: d.ContentType, Size: d.Size,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return h.documents.Open(ctx, ref) },
		})
	})
	if err != nil {
		return err
	}
	refs[step] = a.ID
	return nil
}

// uploadProofs sends a company's proofs.
func (h *Handlers) uploadProofs(ctx context.Context, r *attempt.Run, c *schemas.Company, refs attempt.Refs) error {
	if c == nil {
		return nil
	}
	if err := h.upload(ctx, r, identityProof, c.IdentityProof, refs); err != nil {
		return err
	}
	return h.upload(ctx, r, structureProof, c.StructureProof, refs)
}

// uploadProtocol sends the protocol of an identification, if there is one.
func (h *Handlers) uploadProtocol(ctx context.Context, r *attempt.Run, i *schemas.Identification, refs attempt.Refs) error {
	if i == nil || i.LegitimationProtocol == nil {
		return nil
	}
	return h.upload(ctx, r, legitimationProtocol, *i.LegitimationProtocol, refs)
}
