package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/config"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// api looks at the API: the way there, the token, and whether it answers in its own words.
func (k *checkup) api(ctx context.Context, block string) {
	f := k.areas[areaAPI]
	defer f.end()
	switch {
	case k.offline:
		f.leftOut("api", "not looked at: offline")
		return
	case block != "":
		f.leftOut("api", "not looked at: mend %s first", block)
		return
	}
	base, err := url.Parse(k.cfg.API.BaseURL)
	if err != nil { // Validate has told it
		return
	}
	if !k.way(ctx, f, base) {
		return
	}
	client, err := distributor.New(k.cfg.apiConfig())
	if err != nil {
		f.wrong("api", "", "%v", err)
		return
	}
	defer client.Close()
	if k.token(ctx, f, client) {
		k.answers(ctx, f, client)
	}
}

// way says whether the API's host can be reached: the client's own errors hide why not, lest they quote what is secret.
func (k *checkup) way(ctx context.Context, f *findings, base *url.URL) bool {
	const about = "api.base_url"
	ctx, cancel := context.WithTimeout(ctx, k.cfg.API.Timeouts.Dial+k.cfg.API.Timeouts.TLS)
	defer cancel()
	dial := k.cfg.APIDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	port := base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(base.Hostname(), port))
	if err == nil {
		defer conn.Close()
		if base.Scheme == "https" {
			tc := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: base.Hostname()})
			if err = tc.HandshakeContext(ctx); err == nil {
				k.lasts(f, tc.ConnectionState())
			}
		}
	}
	if err == nil {
		return true
	}
	w, known := ofNetwork(err, about, "have that authority trusted by this machine (SSL_CERT_FILE, or its certificate store)")
	if !known {
		w = words{"it ends the connection", "mend " + about}
	}
	f.wrong(about, w.mend, "%s: %s", base.Host, w.text)
	return false
}

// lasts warns of a certificate of the API that ends soon: that is not ours to mend, but ours to suffer from.
func (k *checkup) lasts(f *findings, state tls.ConnectionState) {
	if until := state.PeerCertificates[0].NotAfter; time.Until(until) < soon/3 {
		f.warn("api.base_url", "tell the provider", "the API's certificate expires on %s", date(until))
	}
}

// token says whether a token is given, for all scopes.
func (k *checkup) token(ctx context.Context, f *findings, client *distributor.Client) bool {
	news, err := client.TryToken(ctx, k.cfg.API.Scopes)
	if err != nil {
		k.noToken(ctx, f, client, outcome.Of(err))
		return false
	}
	if news.Scopes != nil {
		missing := slices.DeleteFunc(slices.Clone(k.cfg.API.Scopes), func(s string) bool { return slices.Contains(news.Scopes, s) })
		if len(missing) > 0 {
			list := strings.Join(missing, ", ")
			f.wrong("api.scopes", "have the provider grant them to this client",
				"the token lacks %s: calls that need it are answered by 403", list)
			return true
		}
	}
	lifetime := "its lifetime is not told"
	if news.Lifetime > 0 {
		lifetime = "good for " + config.FormatDuration(news.Lifetime)
	}
	f.good("api.client_id", "a token is given for %s; %s", counted(len(k.cfg.API.Scopes), "scope", "scopes"), lifetime)
	return true
}

// noToken says why there is none.
func (k *checkup) noToken(ctx context.Context, f *findings, client *distributor.Client, e *outcome.Error) {
	secret := "api.client_secret"
	if k.cfg.API.ClientSecretFile != "" {
		secret = "api.client_secret_file"
	}
	switch {
	case e.Code == "invalid_scope":
		refused := k.refusedScopes(ctx, client)
		f.wrong("api.scopes", "have the provider grant it, or take it out of api.scopes",
			"no token is given, since this client may not have the scope %s", refused)
	case e.Class == outcome.ClassUnauthorized:
		f.wrong("api.client_id", "mend api.client_id or "+secret,
			"no token is given for this client ID and secret (%d %s)", e.Status, e.Code)
	case e.Class == outcome.ClassEndpoint:
		f.wrong("api.base_url", "mend api.base_url: what stands before /oauth/token",
			"there is no token endpoint at %s (%d)", client.TokenURL(), e.Status)
	case e.Class == outcome.ClassThrottled:
		f.warn("api.client_id", "wait, and check again", "tokens are not given just now: too many were asked for (429)")
	case e.Status >= 500:
		f.wrong("api.base_url", "wait, or ask the provider", "the token endpoint is down (%d)", e.Status)
	default:
		f.wrong("api.base_url", "look whether api.base_url leads to the API, or ask the provider",
			"the token endpoint gives no token that can be used")
	}
}

// refusedScopes finds out which scopes are refused, by asking for each alone.
func (k *checkup) refusedScopes(ctx context.Context, client *distributor.Client) string {
	var refused []string
	for _, scope := range k.cfg.API.Scopes {
		if _, err := client.TryToken(ctx, []string{scope}); err != nil && outcome.Of(err).Code == "invalid_scope" {
			refused = append(refused, scope)
		}
	}
	if len(refused) == 0 { // each alone is given
		return "that is among " + strings.Join(k.cfg.API.Scopes, ", ")
	}
	return strings.Join(refused, ", ")
}

// answers says whether the API answers a harmless question: for an investor that there cannot be.
func (k *checkup) answers(ctx context.Context, f *findings, client *distributor.Client) {
	err := client.Probe(ctx)
	e := outcome.Of(err)
	switch {
	case err == nil:
		f.good("api.base_url", "%s answers", client.URL())
	case e.Class == outcome.ClassEndpoint:
		mend := "mend api.base_url or api.prefix"
		if other := k.otherPrefix(ctx); other != "" {
			mend = "set api.prefix: " + other + ", which answers"
		}
		f.wrong("api.prefix", mend, "the API is not at %s (%d)", client.URL(), e.Status)
	case e.Status == http.StatusForbidden:
		f.wrong("api.scopes", "have the provider grant investors:read, and give it in api.scopes",
			"the API does not let us ask for investors (403)")
	case e.Class == outcome.ClassUnauthorized:
		f.wrong("api.base_url", "look whether api.base_url is where the token comes from, or ask the provider",
			"the API does not take the token that it has given (%d)", e.Status)
	case e.Class == outcome.ClassThrottled:
		f.warn("api.base_url", "wait, and check again", "the API takes no more calls just now (%d)", e.Status)
	case e.Status >= 500:
		f.wrong("api.base_url", "wait, or ask the provider: events wait meanwhile", "the API is down (%d)", e.Status)
	case errors.Is(err, context.DeadlineExceeded), e.Status == 0:
		f.wrong("api.base_url", "wait, or ask the provider: events wait meanwhile", "the API does not answer")
	default:
		f.wrong("api.base_url", "mend api.base_url or api.prefix", "the API answers otherwise than it should (%d)", e.Status)
	}
}

// otherPrefix gives the prefix at which the API answers, if it is not the one that is set.
func (k *checkup) otherPrefix(ctx context.Context) string {
	for _, prefix := range []string{"/distributor/v2", "/v2"} {
		cfg := k.cfg.apiConfig()
		if cfg.Prefix == prefix {
			continue
		}
		cfg.Prefix = prefix
		client, err := distributor.New(cfg)
		if err != nil {
			continue
		}
		err = client.Probe(ctx)
		client.Close()
		if err == nil {
			return prefix
		}
	}
	return ""
}
