package handlers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"distributor-bridge/schemas"
)

// digest gives 16 bytes of the SHA-256 of an event's data, in hexadecimal digits. Two events about one order or position
// are the same if they have the same digest. State keeps it, so the form of the data must stay: a property that is new
// has to be left out when it is absent.
func digest(data any) (string, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}

// orderDigest leaves out where the documents are: a link that was renewed makes no other order. Their SHA-256 stays in.
func orderDigest(e schemas.OrderPaid) (string, error) {
	e.Wallet = strings.ToLower(e.Wallet)
	e.SignedDocuments = slices.Clone(e.SignedDocuments)
	for i := range e.SignedDocuments {
		d := &e.SignedDocuments[i].Document
		d.URL, d.Content = "", ""
	}
	return digest(e)
}
