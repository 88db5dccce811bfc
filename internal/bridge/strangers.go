package bridge

import (
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// strangers is the log of a server: what went wrong with connections and requests before a handler, or in it.
// Anybody can make it write: a line a second is kept, and how many were not. What could be personal is left out: addresses, and
// the value of a panic.
type strangers struct {
	log zerolog.Logger
	is  string // what a line is about

	mu     sync.Mutex // guards what follows
	next   time.Time  // when a line may be kept
	missed int
}

var (
	address  = regexp.MustCompile(`(from|serving) \S+: `)
	panicked = regexp.MustCompile(`(?s)(panic serving) \S+: .*?(goroutine \d+ \[|$)`)
)

// Write takes a line.
func (s *strangers) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.missed++
		return len(line), nil
	}
	s.next = now.Add(time.Second)
	text := panicked.ReplaceAllString(string(line), "$1 a client\n$2")
	text = address.ReplaceAllString(text, "$1 a client: ")
	s.log.Warn().Str("said", strings.TrimSpace(text)).Int("more", s.missed).Msg(s.is)
	s.missed = 0
	return len(line), nil
}
