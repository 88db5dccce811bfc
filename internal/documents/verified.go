package documents

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"distributor-bridge/internal/outcome"
)

// check gives the SHA-256 that a reference promises, or the verdict that it is no complete reference.
func (r Ref) check() ([]byte, error) {
	sum, err := hex.DecodeString(r.SHA256)
	switch {
	case err != nil || len(sum) != sha256.Size:
		return nil, outcome.Reject(outcome.Invalid, "sha256")
	case r.Size < 1:
		return nil, outcome.Reject(outcome.Invalid, "size")
	case (r.Content == "") == (r.URL == ""):
		return nil, outcome.Reject(outcome.Invalid, "content", "url")
	}
	return sum, nil
}

// verified gives the bytes of a source, all but the last one as they come. The last one follows once the source has
// ended there and the hash over all of them is right; else an error stands in its place, and for good.
//
// One byte is enough: an upload has promised Size bytes, and what ends before is not a document to its receiver.
type verified struct {
	source io.ReadCloser
	sum    []byte
	hash   hash.Hash
	left   int64 // bytes of the promised size that were not given yet
	err    error // how it ended: io.EOF, or a verdict
}

func newVerified(source io.ReadCloser, size int64, sum []byte) *verified {
	return &verified{source: source, sum: sum, hash: sha256.New(), left: size}
}

// Read gives the content, see Fetcher.Open.
func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	if v.left == 1 {
		return v.last(p)
	}
	n, err := v.source.Read(p[:min(int64(len(p)), v.left-1)])
	v.hash.Write(p[:n])
	v.left -= int64(n)
	if err != nil {
		v.err = short(err)
	}
	return n, v.err
}

// last gives the last byte, if it is the last one and the hash is right.
func (v *verified) last(p []byte) (int, error) {
	var tail [2]byte // one more than promised is enough to know
	n, err := io.ReadFull(v.source, tail[:])
	if err != io.ErrUnexpectedEOF || n != 1 {
		v.err = outcome.Reject(outcome.DocumentMismatch)
		if n < 2 {
			v.err = short(err)
		}
		return 0, v.err
	}
	v.hash.Write(tail[:1])
	if subtle.ConstantTimeCompare(v.hash.Sum(nil), v.sum) != 1 {
		v.err = outcome.Reject(outcome.DocumentMismatch)
		return 0, v.err
	}
	p[0] = tail[0]
	v.left = 0
	v.err = io.EOF
	return 1, nil
}

// short gives the verdict on a source that ended before its promised size: its own, if it has one.
func short(err error) error {
	var e *outcome.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, io.EOF) {
		return outcome.Reject(outcome.DocumentMismatch)
	}
	return retry(err)
}

// Close closes the source.
func (v *verified) Close() error { return v.source.Close() }
