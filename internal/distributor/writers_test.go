package distributor_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"distributor-bridge/internal/distributor"
)

// TestRequestsDoNotMix: requests are written from buffers that others have used, among them some that were not sent, and documents
// that broke off or are still written when their call is over; each one is all its own, from its path to its last byte.
func TestRequestsDoNotMix(t *testing.T) {
	t.Parallel()
	a := newAPI(t, says(http.StatusCreated, `{"id":"`+someID+`"}`))
	c := a.client()
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for i := range 30 {
				key := newKey()
				if _, err := c.CreateGenericWallet(t.Context(), key, key.String(), addressOf(key.String()), new(true)); err != nil {
					t.Error(err)
				}
				late := distributor.SendBefore(t.Context(), time.Now()) // its body is there, and is not sent
				if _, err := c.CreateGenericWallet(late, newKey(), someID, addressOf(someID), new(true)); err == nil {
					t.Error("a call was sent too late")
				}
				content := strings.Repeat(key.String(), 1+i*50)
				_, err := c.UploadDocument(t.Context(), key, document(content, func(r io.Reader) io.Reader {
					if i%3 > 0 {
						return r
					}
					return io.MultiReader(io.LimitReader(r, int64(len(content)-1)), iotest.ErrReader(errors.New("broken off")))
				}))
				if (err != nil) != (i%3 == 0) {
					t.Errorf("document %d: %v", i, err)
				}
			}
		})
	}
	callers.Wait()
	wallets, documents := 0, 0
	for _, call := range a.seen() {
		if call.path != "/documents/" {
			wallets++
			want := `{"address":"` + addressOf(call.key) + `","receiving_enabled":true}`
			if call.path != "/investors/"+call.key+"/wallets/eth-generic/" || call.body != want {
				t.Errorf("key %s: %s %s", call.key, call.path, call.body)
			}
			continue
		}
		documents++
		if call.contentType != "multipart/form-data; boundary=bridge-"+call.key {
			t.Errorf("key %s: %s", call.key, call.contentType)
		}
		_, content, _ := strings.Cut(call.body, "\r\n\r\n")
		content, _, _ = strings.Cut(content, "\r\n--bridge-"+call.key)
		if rest := strings.ReplaceAll(content, call.key, ""); !strings.HasPrefix(call.key, rest) {
			t.Errorf("key %s: a document with %.100q in it", call.key, rest)
		}
	}
	if wallets != 16*30 || documents < 16*20 || documents > 16*30 { // one that breaks off at once may not be sent at all
		t.Errorf("%d wallets and %d documents", wallets, documents)
	}
}

// addressOf gives an address of its own to each key.
func addressOf(key string) string { return "0x" + strings.ReplaceAll(key, "-", "") + "00000000" }

// TestTokenOfAnyLength: a request's head may be longer than what it is written from.
func TestTokenOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, 3800, 4000, 4096, 10_000} {
		token := strings.Repeat("t", length)
		a := newAPI(t, says(http.StatusCreated, `{"id":"`+someID+`"}`))
		a.token = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"`+token+`","token_type":"Bearer"}`)
		}
		a.tokens = []string{token}
		c := a.client()
		for range 3 {
			key := newKey()
			if _, err := c.CreateGenericWallet(t.Context(), key, someID, addressOf(key.String()), new(true)); err != nil {
				t.Fatal(err)
			}
		}
		for _, call := range a.seen() {
			if call.authorization != "Bearer "+token || call.key != "" && !strings.Contains(call.body, addressOf(call.key)) {
				t.Errorf("a token of %d bytes: key %s, %s", length, call.key, call.body)
			}
		}
	}
}
