package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"distributor-bridge/internal/sandbox"
)

// BenchmarkFast makes wallet calls on 64 connections. The client does as little as a client can: it sends bytes that are
// ready and looks for the answer's end, so that the processor time is the server's for the most part.
func BenchmarkFast(b *testing.B) {
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) {
			f := sandbox.NewFast(sandbox.FastConfig{Latency: latency})
			addr, token := serveFast(b, f)
			b.ReportAllocs()
			before := processorTime(b)
			var next atomic.Int64
			var clients sync.WaitGroup
			for i := range 64 {
				clients.Go(func() { callFast(b, addr, token, i, &next) })
			}
			clients.Wait()
			b.ReportMetric((processorTime(b)-before).Seconds()*1e6/float64(b.N), "cpu-µs/op")
			if a := f.Audit(); a.Effects != b.N || a.Inversions+a.Doubled+a.Repeats > 0 {
				b.Errorf("%+v", a)
			}
		})
	}
}

// serveFast serves, and gives where and with which token.
func serveFast(b *testing.B, f *sandbox.Fast) (addr, token string) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1) // one send
	go func() { served <- f.Serve(ctx, ln) }()
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	res, err := http.Post("http://"+ln.Addr().String()+sandbox.Base+"/oauth/token", "", nil) //nolint:noctx // a local server
	if err != nil {
		b.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return ln.Addr().String(), strings.Split(string(raw), `"`)[3]
}

// callFast makes calls of one investor as long as there is a next one.
func callFast(b *testing.B, addr, token string, investor int, next *atomic.Int64) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
		body := fmt.Sprintf(`{"address":"0x%040x","receiving_enabled":true}`, n)
		_, _ = fmt.Fprintf(conn, "POST %s/distributor/v2/investors/i-%d/wallets/eth-generic/ HTTP/1.1\r\nHost: x\r\n"+
			"User-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
			"X-Idempotency-Key: %036d\r\nContent-Length: %d\r\n\r\n%s", sandbox.Base, investor, token, n, len(body), body)
		if err := takeAnswer(in); err != nil {
			b.Error(err)
			return
		}
	}
}

// takeAnswer reads an answer to its end, which is that of its body's one object.
func takeAnswer(in *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.Contains(line, []byte(" 201 ")) {
			return fmt.Errorf("answered %q", line)
		}
		if len(line) == 2 {
			_, err := in.ReadSlice('}')
			return err
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
