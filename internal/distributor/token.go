package distributor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"distributor-bridge/internal/outcome"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// tokens keeps the access token of all calls. At most one fetch is under way, whoever needs it; it is nobody's in
// particular and goes on when those who wait for it give up. A failure is remembered for a while that grows, so that
// neither the token endpoint nor the calls suffer from asking again and again.
type tokens struct {
	cfg    Config
	url    string
	client *http.Client

	// current is the token in use; nil: none. It is changed with mu held, and read without, so that calls do not queue
	// for it.
	current atomic.Pointer[grant]

	mu      sync.Mutex     // guards all below
	got     time.Time      // when the last token was asked for that was got
	failure *outcome.Error // how the last fetch ended
	retryAt time.Time      // no fetch before then
	delay   *backoff.ExponentialBackOff
	fetch   *fetch // the one under way, or nil
	closed  bool
}

// grant is a token. It does not change.
type grant struct {
	token   string
	refresh time.Time // from then on a new one is fetched, while this one is still used
	expires time.Time // from then on this one is not used
}

// fetch is one under way.
type fetch struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when its outcome is in tokens
}

// mostPause is the longest pause between two fetches while the token endpoint is down. One that refuses the client is asked
// less often: it may count.
const mostPause = 3 * time.Second

var (
	errClosed = errors.New("the client is closed")
	errToken  = errors.New("fetch token")
	errSecret = errors.New("read the client secret's file")
)

func newTokens(cfg Config, url string) *tokens {
	return &tokens{
		cfg: cfg,
		url: url,
		client: &http.Client{
			Transport:     newTransport(cfg),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		delay: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(500*time.Millisecond),
			backoff.WithMaxInterval(30*time.Second),
			backoff.WithMaxElapsedTime(0),
		),
	}
}

// newTransport makes the way to the token endpoint: a connection of its own, so that calls that fill theirs cannot keep it waiting.
func newTransport(cfg Config) *http.Transport {
	dial := cfg.dialer()
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeouts.Dial)
			defer cancel()
			return dial(ctx, network, addr)
		},
		TLSClientConfig:        cfg.tls(),
		TLSHandshakeTimeout:    cfg.Timeouts.TLS,
		ResponseHeaderTimeout:  cfg.Timeouts.FirstByte,
		IdleConnTimeout:        cfg.Timeouts.Idle,
		MaxConnsPerHost:        1,
		MaxResponseHeaderBytes: mostHeader,
		DisableCompression:     true, // so that the limit of an answer's size is one of what it becomes
	}
}

// get gives a token, fetched if need be, until end. An error is a verdict; the call that the token was for has not been
// sent.
func (t *tokens) get(ctx context.Context, end time.Time) (*grant, error) {
	if g := t.current.Load(); g != nil && time.Now().Before(g.refresh) {
		return g, nil
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for {
		token, wait, err := t.look(time.Now())
		if wait == nil {
			return token, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, outcome.Retry(outcome.ClassNotSent, false, ctx.Err())
		}
	}
}

// look gives the token, or why there is none, or what to wait for. It starts a fetch where one is due.
func (t *tokens) look(now time.Time) (g *grant, wait <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, outcome.Retry(outcome.ClassNotSent, false, errClosed)
	}
	g = t.current.Load()
	usable := g != nil && now.Before(g.expires)
	fresh := usable && now.Before(g.refresh)
	if !fresh && t.fetch == nil && !now.Before(t.retryAt) {
		t.start()
	}
	switch {
	case usable:
		return g, nil, nil
	case t.fetch != nil:
		return nil, t.fetch.done, nil
	}
	e := *t.failure
	if e.After > 0 || e.Class == outcome.ClassThrottled {
		e.After = t.retryAt.Sub(now) // what was told is from then on; where nothing was, it is asked no sooner anyway
	}
	return nil, nil, &e
}

// drop forgets a token that the API has refused, unless another one has taken its place by now.
func (t *tokens) drop(refused *grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.current.Load(); g != nil && g.token == refused.token {
		t.current.Store(nil)
	}
}

// close ends the fetch under way and waits for its goroutine.
func (t *tokens) close() {
	t.mu.Lock()
	t.closed = true
	t.current.Store(nil)
	f := t.fetch
	t.mu.Unlock()
	if f != nil {
		f.cancel()
		<-f.done
	}
	t.client.CloseIdleConnections()
}

// start begins a fetch. The caller holds mu; the goroutine ends with the fetch's own limit, or by close.
func (t *tokens) start() {
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.Timeouts.Token)
	f := &fetch{cancel: cancel, done: make(chan struct{})}
	t.fetch = f
	go func() {
		defer close(f.done)
		defer cancel()
		start := time.Now()
		token, err := t.ask(ctx)
		t.observe(start, err)

		t.mu.Lock()
		defer t.mu.Unlock()
		t.fetch = nil
		if err != nil {
			t.fail(err)
			return
		}
		t.keep(token, start)
	}()
}

// ask fetches a token from the API.
func (t *tokens) ask(ctx context.Context) (*oauth2.Token, *outcome.Error) {
	secret, err := t.secret()
	if err != nil {
		return nil, outcome.Retry(outcome.ClassUnauthorized, false, fmt.Errorf("%w: %w", errToken, err))
	}
	cc := clientcredentials.Config{
		ClientID:     t.cfg.ClientID,
		ClientSecret: secret,
		TokenURL:     t.url,
		Scopes:       t.cfg.Scopes,
		AuthStyle:    oauth2.AuthStyleInParams, // in the body, not as Basic auth [G1][G2]
	}
	token, err := cc.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return nil, tokenVerdict(err)
	}
	if !headerWord(token.AccessToken) {
		return nil, outcome.Retry(outcome.ClassNotSent, false, errToken)
	}
	return token, nil
}

// secret gives the client secret, from its file as it is now.
func (t *tokens) secret() (string, error) {
	if t.cfg.ClientSecretFile == "" {
		return string(t.cfg.ClientSecret), nil
	}
	b, err := os.ReadFile(t.cfg.ClientSecretFile)
	secret := strings.TrimSpace(string(b))
	if err != nil || secret == "" { // empty: it is being written
		return "", errSecret
	}
	return secret, nil
}

// keep takes a token that was asked for at start. The caller holds mu.
func (t *tokens) keep(token *oauth2.Token, start time.Time) {
	if t.closed {
		return // calls made from now on get no token
	}
	life := t.cfg.DefaultTokenLifetime
	if told := token.Expiry.Sub(start); told > 0 { // not for the zero time, which is that nothing was told
		life = told
	}
	t.current.Store(&grant{
		token:   token.AccessToken,
		expires: start.Add(life - min(5*time.Second, life/10)), // it has to last for the way to the API
		refresh: start.Add(life - min(t.cfg.RefreshAhead, life/4)),
	})
	t.got, t.failure, t.retryAt = start, nil, time.Time{}
	t.delay.Reset()
}

func (t *tokens) fetched() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.got
}

// fail remembers a failure. The caller holds mu.
func (t *tokens) fail(e *outcome.Error) {
	t.failure = e
	pause := t.delay.NextBackOff()
	if e.Class == outcome.ClassNotSent { // it is down: when it is back, that should be known soon
		pause = min(pause, mostPause)
	}
	t.retryAt = time.Now().Add(max(pause, e.After))
}

func (t *tokens) observe(start time.Time, err *outcome.Error) {
	if t.cfg.Observe == nil {
		return
	}
	call := Call{Operation: TokenOperation, Method: http.MethodPost, Status: http.StatusOK, Duration: time.Since(start)}
	if err != nil {
		call.Status, call.Class = err.Status, err.Class
	}
	t.cfg.Observe(call)
}

// OfToken says whether a verdict comes from fetching a token: the call that needed it was not made, so that it says nothing about
// how the API takes calls.
func OfToken(verdict error) bool { return errors.Is(verdict, errToken) }

// tokenVerdict gives the verdict on a fetch that failed. The texts of oauth2 quote the answer, and with it maybe a token.
func tokenVerdict(err error) *outcome.Error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return outcome.Retry(outcome.ClassNotSent, false, fmt.Errorf("%w: %w", errToken, outcome.Cause(err)))
	}
	e := outcome.Retry(outcome.ClassNotSent, false, errToken)
	e.Status = answer.Response.StatusCode
	e.Code = outcome.Clean(answer.ErrorCode)
	e.After, _ = retryAfter(answer.Response.Header, time.Now())
	switch {
	case e.Status == http.StatusTooManyRequests:
		e.Class = outcome.ClassThrottled
	case e.Status >= 300 && e.Status < 400, e.Status == http.StatusNotFound, e.Status == http.StatusMethodNotAllowed:
		e.Class = outcome.ClassEndpoint
	case e.Status >= 400 && e.Status < 500:
		e.Class = outcome.ClassUnauthorized
	}
	return e
}
