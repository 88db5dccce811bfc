package distributor_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

const someAddress = "0x00000000000000000000000000000000000000a1"

// BenchmarkWallet makes a call as customer.wallet_added does, through the client and through a bare net/http client, 16
// at a time; "ratio" compares their processor time in one run, in alternating blocks. The server, in the same process, does as little as a
// server can, so that most of what is measured is the client's.
func BenchmarkWallet(b *testing.B) {
	url := "http://" + serveFixed(b)
	client, bare := benchClient(b, url), newBare(url)
	b.Cleanup(bare.CloseIdleConnections)
	through := func() error {
		ctx := distributor.SendBefore(b.Context(), time.Now().Add(time.Minute))
		_, err := client.CreateGenericWallet(ctx, newKey(), someID, someAddress, new(true))
		return err
	}
	direct := func() error { return bare.wallet(b.Context()) }
	b.Run("client", func(b *testing.B) { side(b, b.N, through) })
	b.Run("bare", func(b *testing.B) { side(b, b.N, direct) })
	b.Run("ratio", func(b *testing.B) {
		var ours, theirs time.Duration
		for left := b.N; left > 0; left -= 2000 {
			n := min(left, 2000)
			theirs += side(b, n, direct)
			ours += side(b, n, through)
		}
		b.ReportMetric(float64(ours)/float64(theirs), "client/bare")
		b.ReportMetric(ours.Seconds()*1e6/float64(b.N), "client-cpu-µs")
		b.ReportMetric(theirs.Seconds()*1e6/float64(b.N), "bare-cpu-µs")
	})
}

// side makes n calls, 16 at a time, and gives the processor time that the process took for them.
func side(b *testing.B, n int, call func() error) time.Duration {
	b.Helper()
	b.ReportAllocs()
	began := processorTime(b)
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for range (n + i) / 16 {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	return processorTime(b) - began
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchClient(b *testing.B, url string) *distributor.Client {
	b.Helper()
	c, err := distributor.New(distributor.Config{
		BaseURL: url, AllowPlainHTTP: true, ClientID: clientID, ClientSecret: secret,
		Observe: func(call distributor.Call) {
			if call.Class != outcome.Class("") {
				b.Error(call.Class)
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

// bare is a plain client, as somebody writes it who wants this one call.
type bare struct {
	http.Client
	base string
}

func newBare(url string) *bare {
	return &bare{http.Client{Transport: &http.Transport{MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64, DisableCompression: true}}, url}
}

func (c *bare) wallet(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/distributor/v2/investors/"+someID+"/wallets/eth-generic/",
		strings.NewReader(`{"address":"`+someAddress+`","receiving_enabled":true}`))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer x")
	r.Header.Set("X-Idempotency-Key", uuid.NewString())
	res, err := c.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct{ ID string }
	return json.Unmarshal(raw, &answer)
}

// serveFixed serves the same answer to whatever comes, and gives its address.
func serveFixed(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ln.Close() })
	body := fmt.Sprintf(`{"id":%q,"access_token":"x","address":%q,"kind":"eth-generic"}`, someID, someAddress)
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	go func() { // ends with the listener
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(conn, answer) // ends with the client's connection
		}
	}()
	return ln.Addr().String()
}

func answerAll(conn net.Conn, answer []byte) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				length, _ = strconv.Atoi(string(bytes.TrimSpace(n)))
			}
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
