package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"distributor-bridge/internal/sandbox"
)

// bareClient is the least that can make the bridge's calls: no order, no memory, no repeats.
type bareClient struct {
	http  *http.Client
	base  string
	token string
}

// bare makes n of the calls that the bridge makes, with as many connections, and gives the rate.
func (b *bench) bare(ctx context.Context, n int) (float64, error) {
	transport := &http.Transport{
		MaxConnsPerHost: b.cmd.InFlight, MaxIdleConns: b.cmd.InFlight, MaxIdleConnsPerHost: b.cmd.InFlight, DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	c := &bareClient{http: &http.Client{Transport: transport}, base: b.api + sandbox.Base}
	if err := c.login(ctx); err != nil {
		return 0, err
	}
	bar := newMeter(b.t, "bare client", n)
	defer bar.end()
	times := make([]int64, n)
	var next, done atomic.Int64
	calls, ctx := errgroup.WithContext(ctx)
	for range b.cmd.InFlight {
		calls.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := c.wallet(ctx, i%b.cmd.Customers, i); err != nil {
					return err
				}
				at := int(done.Add(1))
				times[at-1] = time.Now().UnixNano()
				if at%100 == 0 {
					bar.set(at)
				}
			}
			return nil
		})
	}
	if err := calls.Wait(); err != nil {
		return 0, err
	}
	return middleRate(times), nil
}

func (c *bareClient) login(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"bench"}, "client_secret": {"bench"}}
	var answer struct {
		Token string `json:"access_token"`
	}
	err := c.post(ctx, c.base+"/oauth/token", "application/x-www-form-urlencoded", form.Encode(), http.StatusOK, &answer)
	c.token = answer.Token
	return err
}

func (c *bareClient) wallet(ctx context.Context, customer, n int) error {
	var answer struct {
		ID string `json:"id"`
	}
	return c.post(ctx, c.base+"/distributor/v2/investors/"+investorID(customer)+"/wallets/eth-generic/", "application/json",
		`{"address":"`+walletAddress(n)+`","receiving_enabled":true}`, http.StatusCreated, &answer)
}

func (c *bareClient) post(ctx context.Context, to, media, body string, want int, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", media)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set("X-Idempotency-Key", uuid.NewString())
	}
	res, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return json.Unmarshal(raw, answer)
}
