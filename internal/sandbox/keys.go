package sandbox

import (
	"net/http"
	"time"
)

// keyCache is the idempotency cache: the first answer to every key [D].
type keyCache struct {
	mode    Idempotency
	entries map[string]*keyEntry
	expiry  []expiry // in the order of time
}

// keyEntry is a key's first call. While it has no answer, the call is in flight.
type keyEntry struct {
	fingerprint string // what the call was: method, path without prefix, digest of the body
	answer      *answer
	expires     time.Time
}

type expiry struct {
	key   string
	entry *keyEntry
}

func newKeyCache(mode Idempotency) *keyCache {
	return &keyCache{mode: mode, entries: map[string]*keyEntry{}}
}

// claim takes the key for a call, or gives the answer that the call gets instead: that of the first call (replayed), 409
// if the first is in flight, 422 if it was another call.
func (k *keyCache) claim(c *call, now time.Time) (instead *answer, replayed bool) {
	k.expire(now)
	first := k.entries[c.key]
	if first == nil {
		k.entries[c.key] = &keyEntry{fingerprint: c.fingerprint()}
		return nil, false
	}
	if first.answer == nil {
		a := detail(http.StatusConflict, "A request with this idempotency key is being processed.").answer()
		return &a, false
	}
	if first.fingerprint != c.fingerprint() && !k.mode.AnswerMismatch {
		a := detail(http.StatusUnprocessableEntity, "This idempotency key was used for another request.").answer()
		return &a, false
	}
	return first.answer, true
}

// settle ends the claim: it keeps the answer, or, when there is none to keep, frees the key.
func (k *keyCache) settle(key string, kept *answer, now time.Time) {
	entry := k.entries[key]
	if entry == nil || entry.answer != nil {
		return // forgotten by a reset meanwhile
	}
	if kept == nil {
		delete(k.entries, key)
		return
	}
	entry.answer, entry.expires = kept, now.Add(k.mode.Retention)
	k.expiry = append(k.expiry, expiry{key, entry})
}

func (k *keyCache) expire(now time.Time) {
	for len(k.expiry) > 0 && !now.Before(k.expiry[0].entry.expires) {
		if gone := k.expiry[0]; k.entries[gone.key] == gone.entry {
			delete(k.entries, gone.key)
		}
		k.expiry = k.expiry[1:]
	}
}

// keeps says whether an answer with this status is cached. What does not come from the call itself never is.
func (m Idempotency) keeps(status int) bool {
	switch {
	case status < 300:
		return true
	case infront(status):
		return false
	case status <= http.StatusInternalServerError:
		return m.CacheErrors
	}
	return false
}
