package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client are the OAuth 2.0 client credentials (RFC 6749, section 4.4) that were given to the provider. Tokens are signed with the
// secret, so that every member knows those of every other.
type Client struct {
	ID     string
	Secret func() string // asked for each request, so it may come from a file; at least 16 characters
}

// lifetime is that of a token.
const lifetime = 10 * time.Minute

// leastSecret is how short a secret may be.
const leastSecret = 16

func (c *Client) validate() error {
	if c.ID == "" || c.Secret == nil || len(c.Secret()) < leastSecret {
		return errors.New("client credentials need an ID, and a secret of at least 16 characters")
	}
	return nil
}

// token answers with a token, if the credentials are right: in the header, or in the form.
func (c *Client) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	w.Header().Set("Cache-Control", "no-store")
	id, secret, ok := r.BasicAuth()
	if err := r.ParseForm(); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if !ok {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	right := same(id, c.ID) & same(secret, c.Secret())
	if ok { // RFC 6749, section 2.3.1, has them encoded in the header; not every client does that
		right |= same(decoded(id), c.ID) & same(decoded(secret), c.Secret())
	}
	if right != 1 || len(c.Secret()) < leastSecret {
		w.Header().Set("WWW-Authenticate", "Basic")
		oauthError(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // the caller may have gone
		"access_token": c.sign(time.Now().Add(lifetime)), "token_type": "Bearer", "expires_in": int(lifetime.Seconds()),
	})
}

// decoded undoes the encoding of a form; what is not encoded is given as it is.
func decoded(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

func oauthError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
}

// sign gives a token that is good until end.
func (c *Client) sign(end time.Time) string {
	return base64.RawURLEncoding.EncodeToString(c.mac(binary.BigEndian.AppendUint64(nil, uint64(end.Unix()))))
}

// mac gives end with its signature.
func (c *Client) mac(end []byte) []byte {
	h := hmac.New(sha256.New, []byte(c.Secret()))
	h.Write([]byte("distributor-bridge webhook token " + c.ID + " "))
	h.Write(end)
	return h.Sum(end[:8:8])
}

// good says whether a token is one of ours, and not over.
func (c *Client) good(token string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8+sha256.Size || len(c.Secret()) < leastSecret {
		return false
	}
	return hmac.Equal(raw, c.mac(raw[:8])) && time.Now().Unix() < int64(binary.BigEndian.Uint64(raw))
}

// permitted says whether a request proves that it is the provider's.
func (h *webhook) permitted(r *http.Request) bool {
	kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(kind, "Bearer") || token == "" {
		return false
	}
	right := 0
	if h.cfg.Tokens != nil {
		for _, agreed := range h.cfg.Tokens() {
			if agreed != "" {
				right |= same(token, agreed)
			}
		}
	}
	return right == 1 || h.cfg.Client != nil && h.cfg.Client.good(token)
}

// same compares in a time that does not tell how much of it is right.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
