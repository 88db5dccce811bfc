package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Webhooks says who is told of each change of an investment's status, and how [D]: POST {"investment_id", "status",
// "changed_at"}, at least once, with a bearer token that was agreed on or is fetched with OAuth client credentials.
type Webhooks struct {
	URL   string // empty: nobody is told
	Token string // agreed on; or the three that follow

	TokenURL     string
	ClientID     string
	ClientSecret string

	Repeats    int  // how often one that was not taken (2xx) is sent again, after 1, 2, 4 … seconds; default 5
	Duplicates int  // how often one is sent again although it was taken
	Shuffle    bool // what is to be sent goes in any order, and late: up to a second

	// Dial opens connections; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Limits of webhooks.
const (
	webhookTick    = 100 * time.Millisecond // how soon a change is told
	webhookTimeout = 5 * time.Second        // of one request
	webhookLog     = 1000                   // deliveries that are remembered
)

func (w Webhooks) validate() error {
	if w.URL == "" {
		if w.Token != "" || w.TokenURL != "" || w.ClientID != "" || w.ClientSecret != "" {
			return errors.New("webhooks: credentials are given, and no URL")
		}
		return nil
	}
	var errs []error
	for _, text := range []string{w.URL, orDefault(w.TokenURL, w.URL)} {
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("webhooks: %q is no http URL", text))
		}
	}
	byClient := w.TokenURL != "" || w.ClientID != "" || w.ClientSecret != ""
	switch {
	case (w.Token != "") == byClient:
		errs = append(errs, errors.New("webhooks: either a token, or token URL, client ID and client secret are needed"))
	case byClient && (w.TokenURL == "" || w.ClientID == "" || w.ClientSecret == ""):
		errs = append(errs, errors.New("webhooks: token URL, client ID and client secret are needed together"))
	}
	if w.Repeats < 0 || w.Duplicates < 0 {
		errs = append(errs, fmt.Errorf("webhooks: %d repeats, %d duplicates", w.Repeats, w.Duplicates))
	}
	return errors.Join(errs...)
}

// Delivery is a webhook that was sent.
type Delivery struct {
	Time         time.Time `json:"time"`
	InvestmentID string    `json:"investment_id"`
	Status       string    `json:"status"`
	ChangedAt    time.Time `json:"changed_at"`
	Answer       int       `json:"answer"`          // HTTP status; 0: none came
	Error        string    `json:"error,omitempty"` // why none came
}

// hook is a webhook that is to be sent.
type hook struct {
	InvestmentID string    `json:"investment_id"`
	Status       string    `json:"status"`
	ChangedAt    time.Time `json:"changed_at"`

	at    time.Time // not before
	tries int
	left  int // how often it is sent again after it was taken
}

// outbox is what has changed, and what was sent; the server's mutex guards it.
type outbox struct {
	changed []hook
	sent    []Delivery
}

// become gives an investment a status, of which the provider's webhooks tell.
func (n *investment) become(status string, at time.Time) {
	if n.news != nil && n.status != status {
		n.news.changed = append(n.news.changed, hook{InvestmentID: n.id, Status: status, ChangedAt: at})
	}
	n.status, n.since = status, at
}

// Deliveries gives the last webhooks that were sent, in their order.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.outbox.sent)
}

// SendWebhooks sends webhooks until ctx ends, if Config.Webhooks names a URL. Serve does so by itself; for who serves Handler.
func (s *Server) SendWebhooks(ctx context.Context) {
	if s.config.Webhooks.URL == "" {
		return
	}
	m := &messenger{Webhooks: s.config.Webhooks}
	m.client = &http.Client{Timeout: webhookTimeout, Transport: &http.Transport{DialContext: m.Dial}}
	defer m.client.CloseIdleConnections()
	ticker := time.NewTicker(webhookTick)
	defer ticker.Stop()
	var waiting []hook
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		waiting = append(waiting, m.spread(s.news())...)
		waiting = s.deliver(ctx, m, waiting)
	}
}

// news gives what has changed since it was asked last.
func (s *Server) news() []hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, n := range s.world.investments {
		if n.status != StatusDelivered && n.status != StatusKYCInsufficient {
			s.advance(n.investor, now)
		}
	}
	changed := s.outbox.changed
	s.outbox.changed = nil
	slices.SortStableFunc(changed, func(a, b hook) int { return a.ChangedAt.Compare(b.ChangedAt) })
	return changed
}

// deliver sends what is due, and gives what is left.
func (s *Server) deliver(ctx context.Context, m *messenger, waiting []hook) (left []hook) {
	for _, h := range waiting {
		if ctx.Err() != nil || time.Now().Before(h.at) {
			left = append(left, h)
			continue
		}
		d := Delivery{Time: time.Now(), InvestmentID: h.InvestmentID, Status: h.Status, ChangedAt: h.ChangedAt}
		var err error
		if d.Answer, err = m.send(ctx, h); err != nil {
			d.Error = err.Error()
		}
		s.mu.Lock()
		s.outbox.sent = append(s.outbox.sent, d)
		s.outbox.sent = s.outbox.sent[max(0, len(s.outbox.sent)-webhookLog):]
		s.mu.Unlock()
		switch taken := d.Answer/100 == 2; {
		case taken && h.left > 0:
			h.left--
			h.at = time.Now().Add(webhookTick)
			left = append(left, h)
		case !taken && h.tries < m.Repeats:
			h.at = time.Now().Add(time.Second << h.tries)
			h.tries++
			left = append(left, h)
		}
	}
	return left
}

// messenger sends webhooks.
type messenger struct {
	Webhooks
	client *http.Client

	token string // fetched
	until time.Time
}

// spread decides how often and when each is sent.
func (m *messenger) spread(hooks []hook) []hook {
	for i := range hooks {
		hooks[i].left = m.Duplicates
		if m.Shuffle {
			hooks[i].at = time.Now().Add(rand.N(time.Second))
		}
	}
	if m.Shuffle {
		rand.Shuffle(len(hooks), func(i, j int) { hooks[i], hooks[j] = hooks[j], hooks[i] })
	}
	return hooks
}

// send sends one, and gives the answer's status.
func (m *messenger) send(ctx context.Context, h hook) (int, error) {
	token, err := m.authorise(ctx)
	if err != nil {
		return 0, fmt.Errorf("token: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(mustJSON(h)))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	status, _, err := m.do(r)
	if status == http.StatusUnauthorized {
		m.token = "" // the next is sent with a new one
	}
	return status, err
}

// authorise gives the token: the one agreed on, or one that is fetched before the last one ends.
func (m *messenger) authorise(ctx context.Context) (string, error) {
	if m.Token != "" {
		return m.Token, nil
	}
	if m.token != "" && time.Now().Before(m.until) {
		return m.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(m.ClientID), url.QueryEscape(m.ClientSecret)) // RFC 6749, section 2.3.1
	status, body, err := m.do(r)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil || answer.Token == "" {
		return "", fmt.Errorf("answer %d without a token", status)
	}
	m.token, m.until = answer.Token, time.Now().Add(time.Duration(answer.Expires)*time.Second*9/10)
	return m.token, nil
}

func (m *messenger) do(r *http.Request) (status int, body []byte, err error) {
	a, err := m.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	body, err = io.ReadAll(io.LimitReader(a.Body, 64<<10))
	return a.StatusCode, body, err
}
