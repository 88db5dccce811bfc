package distributor

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// head is what an answer says before its body, and where the body is read.
type head struct {
	status int
	length int64       // of the body; -1: it shows when the body ends
	close  bool        // the connection is not used after it
	header http.Header // nil of a plain answer: nobody looks at a success's
	body   io.Reader
}

// nextHead reads the head of the next answer. Nearly all are plain and come in one piece: those it reads itself, without making a map of
// texts that nobody looks at. Each other one net/http reads, from its first byte on.
func (c *conn) nextHead() (head, error) {
	if _, err := c.in.Peek(1); err != nil {
		return head{}, err // as the buffer tells it once only, net/http would ask the connection again
	}
	come, _ := c.in.Peek(c.in.Buffered())
	if h, size := plain(come); size > 0 {
		_, _ = c.in.Discard(size)
		c.body = sized{in: c.in, left: h.length}
		h.body = &c.body
		return h, nil
	}
	return c.otherHead()
}

// otherHead reads the head of any answer, as net/http does.
func (c *conn) otherHead() (head, error) {
	res, err := http.ReadResponse(c.in, nil) //nolint:bodyclose // its connection is: finish does it
	if err != nil {
		return head{}, err
	}
	return head{res.StatusCode, res.ContentLength, res.Close, res.Header, res.Body}, nil
}

// plain reads a head that b begins with, and gives its size; 0 if it is not all there, or not the plain one of a success with a body of
// known length, after which the connection goes on. What it takes, net/http takes for the same (FuzzPlain). It is stricter, so that this
// is easy to see: lines end with CR LF, names are of letters, digits, - and _, and all else is ASCII that can be printed, and tabs.
func plain(b []byte) (h head, size int) {
	line, rest, _ := cutLine(b)
	if h.status = success(line); h.status == 0 {
		return head{}, 0
	}
	h.length = -1
	var whole bool
	for line, rest, whole = cutLine(rest); len(line) > 0; line, rest, whole = cutLine(rest) {
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || !isName(line[:colon]) || !isText(line[colon:]) {
			return head{}, 0
		}
		name, value := line[:colon], line[colon+1:]
		switch {
		case is(name, "Content-Length"):
			length, err := strconv.ParseUint(string(trim(value)), 10, 63)
			if err != nil || h.length >= 0 {
				return head{}, 0
			}
			h.length = int64(length)
		case is(name, "Connection"):
			if !is(trim(value), "keep-alive") {
				return head{}, 0
			}
		case is(name, "Transfer-Encoding"), is(name, "Trailer"), is(name, "Upgrade"):
			return head{}, 0
		}
	}
	if !whole || h.length < 0 {
		return head{}, 0
	}
	return h, len(b) - len(rest)
}

// cutLine gives the line that b begins with, without its CR LF, and what is after it. There is no line where it does not end so.
func cutLine(b []byte) (line, rest []byte, whole bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 || b[end-1] != '\r' {
		return nil, nil, false
	}
	return b[:end-1], b[end+1:], true
}

// success reads a status line, and gives the status if it is a success, else 0. A 204 is none here: it has no body, whatever length it
// tells.
func success(line []byte) (status int) {
	code, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 2"))
	if !ok || len(code) < 3 || !isDigit(code[0]) || !isDigit(code[1]) || code[2] != ' ' || !isText(code) {
		return 0
	}
	if status = 200 + 10*int(code[0]-'0') + int(code[1]-'0'); status == http.StatusNoContent {
		return 0
	}
	return status
}

// is says whether b is the word, in whatever case.
func is(b []byte, word string) bool {
	return len(b) == len(word) && strings.EqualFold(string(b), word)
}

func trim(b []byte) []byte { return bytes.Trim(b, " \t") }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isName(b []byte) bool {
	for _, c := range b {
		if letter := c | 0x20; (letter < 'a' || letter > 'z') && !isDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

func isText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// sized is a body of known length. If it ends before, that is an error, as it is for net/http.
type sized struct {
	in   *bufio.Reader
	left int64
}

func (s *sized) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.in.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
