package kafka

import (
	"encoding/binary"
	"errors"
	"io"
)

// errMalformed: an answer that ends before what it announces.
var errMalformed = errors.New("malformed answer")

// cursor reads an answer's fields one after the other. After an error, which it keeps, it gives zeros.
type cursor struct {
	b       []byte // what is left
	compact bool   // a flexible version: lengths of text and arrays are one more, of variable length, and there are tagged fields
	err     error
}

// next gives the next n bytes; nil if there are fewer.
func (c *cursor) next(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.err = nil, errMalformed
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) int16() int16 {
	if b := c.next(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.next(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) int64() int64 {
	if b := c.next(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// text gives a string; a null one, of length -1, is empty.
func (c *cursor) text() string {
	if c.compact {
		return string(c.next(max(0, c.length())))
	}
	return string(c.next(max(0, int(c.int16()))))
}

// length gives one of a flexible version; -1 for null.
func (c *cursor) length() int { return int(int32(c.uvarint())) - 1 }

// tags skips a flexible version's tagged fields.
func (c *cursor) tags() {
	if !c.compact {
		return
	}
	for n := c.uvarint(); n > 0 && c.err == nil; n-- {
		c.uvarint() // its tag
		c.next(int(int32(c.uvarint())))
	}
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.err = nil, errMalformed
		return 0
	}
	c.b = c.b[n:]
	return v
}

// count gives the number of elements of an array, of at least size bytes each; 0 if that many cannot be there.
func (c *cursor) count(size int) int {
	var n int
	if c.compact {
		n = c.length()
	} else {
		n = int(c.int32())
	}
	if n > len(c.b)/size {
		c.b, c.err = nil, errMalformed
	}
	if n < 0 || c.err != nil {
		return 0
	}
	return n
}

// varint gives a number of variable length, as lengths and counts are; varint64 gives one that may be large.
func (c *cursor) varint() int { return int(int32(c.varint64())) }

func (c *cursor) varint64() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.b, c.err = nil, errMalformed
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes gives what has its length in front; null, of length −1, is nil, and what is empty is not.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n < 0 {
		return nil
	}
	return c.next(n)
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

const correlation = 1 // of every request: a connection has one under way

// appendHeader begins a request; finishRequest sets its size once all is appended.
func appendHeader(b []byte, key, version int16, clientID string) []byte {
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, correlation)
	return appendText(b, clientID)
}

func finishRequest(b []byte) { binary.BigEndian.PutUint32(b, uint32(len(b)-4)) }

// readAnswer reads one answer, of at most limit bytes, without its header.
func readAnswer(r io.Reader, limit int) ([]byte, error) {
	size, err := readHeader(r, limit)
	if err != nil {
		return nil, err
	}
	body := make([]byte, size)
	_, err = io.ReadFull(r, body)
	return body, err
}

// readHeader reads an answer's header, and gives how many bytes follow.
func readHeader(r io.Reader, limit int) (int, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > limit || binary.BigEndian.Uint32(head[4:]) != correlation {
		return 0, errMalformed
	}
	return size - 4, nil
}
