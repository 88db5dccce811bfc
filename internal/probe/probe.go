// Package probe asks a program's own health endpoint, from a second process of the same program: in a container without a
// shell there is nothing else that an engine's health check could run. It knows nothing of what is asked.
package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Limit is how long the answer may take.
const Limit = 5 * time.Second

// most of an answer that is shown.
const most = 4 << 10

// Ask gives nil if the URL answers 200, else what it answered instead.
func Ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	// Neither a proxy of the environment nor a redirect: the question is about this machine.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("health: nothing answers; is the program running, and is this its address? %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return fmt.Errorf("health: %s, and then: %w", resp.Status, err)
	}
	return fmt.Errorf("health: %s: %s", resp.Status, strings.TrimSpace(string(text)))
}
