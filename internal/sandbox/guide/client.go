package guide

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// Access is what the provider hands to a distributor before the first call.
type Access struct {
	URL          string // the base, up to and including /api/external
	ClientID     string
	ClientSecret string
	CampaignID   string // of what is for sale; only Example needs it
	ProductID    string // of the campaign; only Example needs it
}

// client is a client as the guides have it: nothing is remembered, every answer is taken at its word.
type client struct {
	http  *http.Client
	base  string // with the prefix
	token string
}

// authorize is the guides' first call. Who calls it closes the client.
func authorize(ctx context.Context, a Access, prefix, scope string) (*client, error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"scope":         {scope},
		"client_id":     {a.ClientID},
		"client_secret": {a.ClientSecret},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := &client{http: &http.Client{Transport: &http.Transport{}}, base: a.URL + prefix}
	if err := c.grant(req); err != nil {
		c.close()
		return nil, fmt.Errorf("token: %w", err)
	}
	return c, nil
}

func (c *client) grant(req *http.Request) error {
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer.AccessToken == "" {
		return errors.New("no access_token")
	}
	c.token = answer.AccessToken
	return nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// call makes a request, wants 200 or 201, and decodes the answer. Whatever is not a GET gets a key of its own.
func (c *client) call(ctx context.Context, method, path, media string, body io.Reader, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if method != http.MethodGet {
		req.Header.Set("X-Idempotency-Key", rand.Text())
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w in %s", method, path, err, text)
	}
	return nil
}

// made is what the guides read of an answer about an object.
type made struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// post sends JSON, or no body if it is empty, and wants an id.
func (c *client) post(ctx context.Context, path, body string) (made, error) {
	var answer made
	var content io.Reader
	media := ""
	if body != "" {
		content, media = strings.NewReader(body), "application/json"
	}
	if err := c.call(ctx, http.MethodPost, path, media, content, &answer); err != nil {
		return made{}, err
	}
	if answer.ID == "" {
		return made{}, fmt.Errorf("POST %s: no id", path)
	}
	return answer, nil
}

// upload sends a document and gives its ID.
func (c *client) upload(ctx context.Context, name, content string) (string, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		return "", fmt.Errorf("upload %s: %w", name, err)
	}
	_, _ = io.WriteString(part, content) // a Buffer takes all
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("upload %s: %w", name, err)
	}
	var answer made
	if err := c.call(ctx, http.MethodPost, "/documents/", w.FormDataContentType(), &b, &answer); err != nil {
		return "", err
	}
	if answer.ID == "" {
		return "", fmt.Errorf("upload %s: no id", name)
	}
	return answer.ID, nil
}
