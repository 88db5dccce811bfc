package distributor

import (
	"context"
	"strings"
	"time"
)

// TokenNews is what the API says with a token that it gives.
type TokenNews struct {
	Scopes   []string      // nil: it does not say
	Lifetime time.Duration // 0: it does not say
}

// TryToken fetches a token with the client's credentials and with scopes of its choice, to see whether that is given. It is not used
// and not kept. An error is an *outcome.Error, as of a call that needed the token.
func (c *Client) TryToken(ctx context.Context, scopes []string) (TokenNews, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Token)
	defer cancel()
	asking := tokens{cfg: c.cfg, url: c.tokens.url, client: c.tokens.client}
	asking.cfg.Scopes = scopes
	token, verdict := asking.ask(ctx)
	if verdict != nil {
		return TokenNews{}, verdict
	}
	var news TokenNews
	if !token.Expiry.IsZero() {
		news.Lifetime = time.Until(token.Expiry).Round(time.Second)
	}
	if told, ok := token.Extra("scope").(string); ok {
		news.Scopes = strings.Fields(told)
	}
	return news, nil
}

// URL gives where the API's resources are, for people.
func (c *Client) URL() string { return c.root.String() }

// TokenURL gives where tokens are fetched, for people.
func (c *Client) TokenURL() string { return c.tokens.url }
