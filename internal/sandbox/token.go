package sandbox

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// token is an access token that was given out.
type token struct {
	scopes  []string
	expires time.Time
}

// RevokeTokens makes every access token invalid: the next call with one is 401.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// SetClientSecret changes the client's secret: the old one is refused from now on, and every token that was got with it.
func (s *Server) SetClientSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.ClientSecret = secret
	clear(s.tokens)
}

// serveToken gives access tokens by client credentials, which have to be in a form body [G1][G2].
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	c := s.begin(r, &operation{name: opToken, method: http.MethodPost})
	s.finish(w, r, c, s.process(r, c, s.grant))
}

// grant answers a token request; mu is held.
func (s *Server) grant(c *call) reply {
	if c.method != http.MethodPost {
		return detail(http.StatusMethodNotAllowed, "Method %q not allowed.", c.method)
	}
	if c.authorization != "" {
		return oauthError(http.StatusUnauthorized, "invalid_client") // Basic: the secret belongs into the body
	}
	if media, _, _ := mime.ParseMediaType(c.contentType); media != "application/x-www-form-urlencoded" {
		return oauthError(http.StatusBadRequest, "invalid_request")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return oauthError(http.StatusBadRequest, "invalid_request")
	}
	for _, values := range form {
		if len(values) != 1 { // RFC 6749 section 3.2: no parameter twice
			return oauthError(http.StatusBadRequest, "invalid_request")
		}
	}
	switch {
	case form.Get("grant_type") == "":
		return oauthError(http.StatusBadRequest, "invalid_request")
	case form.Get("grant_type") != "client_credentials":
		return oauthError(http.StatusBadRequest, "unsupported_grant_type")
	case form.Get("client_id") != s.config.ClientID || form.Get("client_secret") != s.config.ClientSecret:
		return oauthError(http.StatusUnauthorized, "invalid_client")
	}
	scopes := strings.Fields(form.Get("scope"))
	if len(scopes) == 0 {
		return oauthError(http.StatusBadRequest, "invalid_scope")
	}
	for _, scope := range scopes {
		if !slices.Contains(s.config.Scopes, scope) {
			return oauthError(http.StatusBadRequest, "invalid_scope")
		}
	}
	return s.issue(c.now, scopes)
}

func (s *Server) issue(now time.Time, scopes []string) reply {
	for secret, t := range s.tokens {
		if now.After(t.expires) {
			delete(s.tokens, secret)
		}
	}
	secret := newID() + newID()
	s.tokens[secret] = token{scopes: scopes, expires: now.Add(s.config.TokenLifetime)}
	body := object{"access_token": secret, "token_type": "Bearer", "scope": strings.Join(scopes, " ")}
	if !s.config.HideExpiry {
		body["expires_in"] = int64(s.config.TokenLifetime / time.Second)
	}
	return found(body)
}

func oauthError(status int, code string) reply {
	return reply{status: status, body: object{"error": code}}
}

// authorise gives the refusal of a call whose token is bad (401) or lacks the scope (403), or nil [A].
func (s *Server) authorise(c *call) *reply {
	secret, ok := strings.CutPrefix(c.authorization, "Bearer ")
	if !ok {
		refusal := detail(http.StatusUnauthorized, "Authentication credentials were not provided.")
		return &refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[secret]
	if !ok || !time.Now().Before(t.expires) {
		refusal := detail(http.StatusUnauthorized, "Invalid token.")
		return &refusal
	}
	if !slices.Contains(t.scopes, c.op.scope) {
		refusal := detail(http.StatusForbidden, "You do not have permission to perform this action.")
		return &refusal
	}
	return nil
}
