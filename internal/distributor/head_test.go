package distributor

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// plainAnswers are read without net/http.
var plainAnswers = map[string]string{
	"short":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"as Go writes it":    goAnswer,
	"as nginx writes it": nginxAnswer,
	"lower case":         "HTTP/1.1 202 accepted\r\nserver: x\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}",
	"upper case":         "HTTP/1.1 299 X\r\nCONTENT-LENGTH: 2\r\nCONNECTION: KEEP-ALIVE\r\n\r\n{}",
	"no reason":          "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}",
	"no body":            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"205":                "HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\n{}", // net/http reads a body, too
	"zeros before":       "HTTP/1.1 200 OK\r\nContent-Length: 00000000000000000000000000000000000000000000002\r\n\r\n{}",
	"no space":           "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\n{}",
	"spaces around":      "HTTP/1.1 200 OK\r\nContent-Length: \t 2 \t \r\nConnection:\tkeep-alive \r\n\r\n{}",
	"empty values":       "HTTP/1.1 200 OK\r\nX:\r\nY: \r\nContent-Length: 2\r\n\r\n{}",
	"colons":             "HTTP/1.1 200 OK\r\nX: a:b::c\r\nContent-Length: 2\r\n\r\n{}",
	"a name twice":       "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\n{}",
	"keep-alive twice":   "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
	"long names":         "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Y_", 20) + ": a\r\nContent-Length: 2\r\n\r\n{}",
	"a lot of it":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 500) + "Content-Length: 2\r\n\r\n{}",
	"much body":          "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("0123456789", 2000),
	"cut off":            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
	"nothing of a body":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
	"longest":            "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}",
	"too much":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}",
	"two answers":        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"an end in a body":   "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\r\n\r\n{}",
}

// goAnswer is what a server of net/http says.
const goAnswer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n" +
	"Content-Length: 2\r\n\r\n{}"

// nginxAnswer is what Django says behind nginx.
const nginxAnswer = "HTTP/1.1 201 Created\r\nServer: nginx/1.25.3\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n" +
	"Content-Type: application/json\r\nContent-Length: 70\r\nConnection: keep-alive\r\nVary: Accept, Cookie\r\n" +
	"Allow: GET, POST, HEAD, OPTIONS\r\nX-Frame-Options: DENY\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n" +
	"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\r\n" +
	`{"id":"0b7d0a5e-5a4c-4f6e-9a51-8a3c2a1d0e01", "status": "processing"}` + "\n"

// otherAnswers are left to net/http: what it takes, and what it refuses.
var otherAnswers = map[string]string{
	"nothing":                  "",
	"half a status line":       "HTTP/1.1 20",
	"half a header":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
	"half an end":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r",
	"longer than the buffer":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 2\r\n\r\n{}",
	"the end does not fit":     "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 677) + "Content-Length: 2\r\n\r\n{}",
	"interim":                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"interim with a length":    "HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n{}",
	"another protocol":         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
	"199":                      "HTTP/1.1 199 X\r\nContent-Length: 2\r\n\r\n{}",
	"204":                      "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
	"300":                      "HTTP/1.1 300 X\r\nContent-Length: 2\r\n\r\n{}",
	"400":                      "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}",
	"503":                      "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
	"two digits":               "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
	"four digits":              "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
	"no digits":                "HTTP/1.1 2OK\r\nContent-Length: 2\r\n\r\n{}",
	"a sign":                   "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\n{}",
	"no reason, no space":      "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
	"two spaces":               "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"a tab":                    "HTTP/1.1 200\tOK\r\nContent-Length: 2\r\n\r\n{}",
	"control in the reason":    "HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\n{}",
	"not ASCII in the reason":  "HTTP/1.1 200 Schön\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/1.0":                 "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/1.0, kept":           "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/1.2":                 "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/2.0":                 "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"http/1.1":                 "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"a line before":            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	"no header":                "HTTP/1.1 200 OK\r\n\r\n{}",
	"no length":                "HTTP/1.1 200 OK\r\nX: y\r\n\r\n{}",
	"an empty length":          "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n{}",
	"an empty length, spaces":  "HTTP/1.1 200 OK\r\nContent-Length:  \r\n\r\n{}",
	"+2":                       "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
	"-2":                       "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
	"-0":                       "HTTP/1.1 200 OK\r\nContent-Length: -0\r\n\r\n{}",
	"0x2":                      "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
	"1_0":                      "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n{}",
	"2.0":                      "HTTP/1.1 200 OK\r\nContent-Length: 2.0\r\n\r\n{}",
	"2 2":                      "HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\n{}",
	"2, 2":                     "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
	"other digits":             "HTTP/1.1 200 OK\r\nContent-Length: \u0662\r\n\r\n{}",
	"another space":            "HTTP/1.1 200 OK\r\nContent-Length: \u00a02\r\n\r\n{}",
	"too long a length":        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n{}",
	"far too long a length":    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\n{}",
	"two lengths":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
	"a length twice":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	"no length twice":          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n{}",
	"chunks":                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	"chunks and a length":      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	"chunks with a trailer":    "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n",
	"gzip":                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
	"identity":                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
	"no encoding":              "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\n{}",
	"a trailer":                "HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\n{}",
	"an upgrade":               "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
	"close":                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
	"Close":                    "HTTP/1.1 200 OK\r\ncOnnection: Close\r\nContent-Length: 2\r\n\r\n{}",
	"keep-alive, close":        "HTTP/1.1 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\n{}",
	"keep-alive and close":     "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
	"an empty connection":      "HTTP/1.1 200 OK\r\nConnection:\r\nContent-Length: 2\r\n\r\n{}",
	"no colon":                 "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\n{}",
	"no name":                  "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\n{}",
	"a space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 3\r\nContent-Length: 2\r\n\r\n{}",
	"a space in a name":        "HTTP/1.1 200 OK\r\nTransfer Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
	"a rare name":              "HTTP/1.1 200 OK\r\nX!: y\r\nContent-Length: 2\r\n\r\n{}",
	"a name that is none":      "HTTP/1.1 200 OK\r\nX(: y\r\nContent-Length: 2\r\n\r\n{}",
	"a name like another":      "HTTP/1.1 200 OK\r\nTran\u017ffer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
	"a continued line":         "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\n{}",
	"a continued length":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\t3\r\n\r\n{}",
	"a continued nothing":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n \r\n\r\n{}",
	"a continued status line":  "HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\n{}",
	"LF":                       "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
	"LF in between":            "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\n{}",
	"LF LF in between":         "HTTP/1.1 200 OK\r\nContent-Length: 2\n\n{}\r\n\r\n",
	"LF CR LF in between":      "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\n{}\r\n\r\n",
	"CR in a value":            "HTTP/1.1 200 OK\r\nX: y\rContent-Length: 3\r\nContent-Length: 2\r\n\r\n{}",
	"CR CR LF":                 "HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\r\n\r\n{}",
	"CR before the end":        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\r\n\r\n{}",
	"NUL":                      "HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\n{}",
	"DEL":                      "HTTP/1.1 200 OK\r\nX: \x7f\r\nContent-Length: 2\r\n\r\n{}",
	"not ASCII":                "HTTP/1.1 200 OK\r\nX: ö\r\nContent-Length: 2\r\n\r\n{}",
	"not HTTP":                 "GEHEIM\r\n\r\n",
}

// TestPlain says which answers are read without net/http, and that it would have read each the same way.
func TestPlain(t *testing.T) {
	t.Parallel()
	for want, answers := range map[bool]map[string]string{true: plainAnswers, false: otherAnswers} {
		for name, answer := range answers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if _, size := plain([]byte(answer)[:min(len(answer), 4096)]); size > 0 != want {
					t.Errorf("plain: %t", size > 0)
				}
				for first := range min(len(answer), 500) {
					compare(t, []byte(answer), first)
				}
			})
		}
	}
}

// TestPlainWithAnotherByte compares with net/http what comes of each byte that is changed, put in or left out.
func TestPlainWithAnotherByte(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 201 OK\r\nA: b\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n12",
	} {
		for at := range answer {
			before, after := answer[:at], answer[at:]
			compare(t, []byte(before+after[1:]), 0)
			for b := range 256 {
				compare(t, slicesOf(before, byte(b), after), 0)
				compare(t, slicesOf(before, byte(b), after[1:]), 0)
			}
		}
	}
}

func slicesOf(before string, b byte, after string) []byte {
	return append(append([]byte(before), b), after...)
}

// FuzzPlain: an answer is read as net/http reads it, whatever comes, and wherever the first piece of it ends.
func FuzzPlain(f *testing.F) {
	for _, answers := range []map[string]string{plainAnswers, otherAnswers} {
		for _, answer := range answers {
			f.Add([]byte(answer), uint16(0))
			f.Add([]byte(answer), uint16(len(answer)/2))
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, first uint16) { compare(t, answer, int(first)) })
}

// compare reads an answer as calls do, and with net/http alone. first is the size of the first piece that comes; 0: all come at once.
func compare(t *testing.T, answer []byte, first int) {
	t.Helper()
	compareOn(t, pieces{left: answer, first: first})
	compareOn(t, pieces{left: answer, first: first, early: true})
}

func compareOn(t *testing.T, source pieces) {
	t.Helper()
	answer := source.left
	ours, theirs := &source, new(source)
	c := &conn{in: bufio.NewReader(ours)}
	in := bufio.NewReader(theirs)
	h, err := c.nextHead()
	res, wantErr := http.ReadResponse(in, nil)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, of net/http %v", answer, err, wantErr)
	}
	if len(ours.left) != len(theirs.left) {
		t.Fatalf("%q: %d bytes are not read after the head, by net/http %d", answer, len(ours.left), len(theirs.left))
	}
	if err != nil {
		return
	}
	if h.status != res.StatusCode || h.length != res.ContentLength || h.close != res.Close {
		t.Fatalf("%q: %+v, of net/http %+v", answer, h, res)
	}
	if h.header == nil != (h.body == &c.body) || h.header != nil && !reflect.DeepEqual(h.header, res.Header) {
		t.Fatalf("%q: header %v, of net/http %v", answer, h.header, res.Header)
	}
	body, err := io.ReadAll(h.body)
	want, wantErr := io.ReadAll(res.Body)
	if !bytes.Equal(body, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("%q: %q and %v, of net/http %q and %v", answer, body, err, want, wantErr)
	}
	left, _ := io.ReadAll(c.in)
	if want, _ := io.ReadAll(in); !bytes.Equal(left, want) {
		t.Fatalf("%q: %q is left, by net/http %q", answer, left, want)
	}
}

// pieces is a connection on which an answer comes in two pieces.
type pieces struct {
	left  []byte
	first int  // how much may come yet before a break; 0: all
	early bool // its end is told with its last bytes
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	if p.first > 0 {
		b = b[:min(len(b), p.first)]
	}
	n := copy(b, p.left)
	p.left, p.first = p.left[n:], max(0, p.first-n)
	if p.early && len(p.left) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// BenchmarkAnswer reads an answer, its body included, as calls do, and with net/http alone.
func BenchmarkAnswer(b *testing.B) {
	ways := []struct {
		name string
		head func(*conn) (head, error)
	}{
		{"plain", (*conn).nextHead},
		{"net/http", (*conn).otherHead},
	}
	for _, name := range []string{"as Go writes it", "as nginx writes it"} {
		for _, way := range ways {
			b.Run(name+"/"+way.name, func(b *testing.B) {
				b.ReportAllocs()
				answer := []byte(plainAnswers[name])
				var source bytes.Reader
				x := &exchange{conn: &conn{in: bufio.NewReader(&source)}}
				var into bytes.Buffer
				for b.Loop() {
					source.Reset(answer)
					into.Reset()
					h, err := way.head(x.conn)
					if err == nil {
						err = x.read(h, &into, 1<<20)
					}
					if err != nil || !x.whole {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
