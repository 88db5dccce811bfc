package breaker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/breaker"
	"distributor-bridge/internal/outcome"
)

var refused = &outcome.Error{Verdict: outcome.Retrying, Class: outcome.ClassUnauthorized, Status: 403}

// ends makes the calls of an operation for n customers end.
func (s *service) ends(operation string, effect bool, n int, err *outcome.Error) {
	for i := range n {
		s.Observe(breaker.Call{Customer: fmt.Sprint("c", i), Operation: operation, Effect: effect, Began: time.Now()}, err)
	}
}

// again is the next time that work begins again after an outage.
func (s *service) again() {
	for i := 0; i < 100 && s.State() != breaker.Slow; i++ {
		time.Sleep(99 * time.Millisecond) // never in the moment of a probe
	}
}

// One operation that is refused for all keeps nobody from the others, once one of them has had its effect after the breaker opened.
func TestOneOperationFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after func(s *service) // it opened, and work has begun again
		want          breaker.State    // once a hundred customers' orders have failed again
		told          int              // how often it was that orders fail alone
	}{
		"alone": {after: func(s *service) { s.ends("wallet", true, 1, nil) }, want: breaker.Slow, told: 1},
		"others' answers came in another order": {after: func(s *service) {
			s.ends("wallet", true, 1, nil)
			s.Observe(breaker.Call{Customer: "w", Operation: "wallet", Effect: true, Began: time.Now().Add(-7 * time.Second)}, nil)
		}, want: breaker.Slow, told: 1},
		"at once": {after: func(*service) {}, want: breaker.Open},
		"a rejection is no effect": {after: func(s *service) {
			s.ends("wallet", true, 1, &outcome.Error{Verdict: outcome.Rejected, Class: outcome.ClassClient, Status: 400})
		}, want: breaker.Open},
		"others were under way before": {after: func(s *service) {
			s.Observe(breaker.Call{Customer: "w", Operation: "wallet", Effect: true, Began: time.Now().Add(-7 * time.Second)}, nil)
		}, want: breaker.Open},
		"one of others fails for one": {after: func(s *service) {
			s.ends("wallet", true, 1, nil)
			s.ends("transfer", true, 1, refused)
		}, want: breaker.Slow, told: 1},
		"one of others fails for two": {after: func(s *service) {
			s.ends("wallet", true, 1, nil)
			s.ends("transfer", true, 2, refused)
		}, want: breaker.Open},
		"one of others is not answered for two": {after: func(s *service) {
			s.ends("wallet", true, 1, nil)
			s.ends("transfer", true, 2, unavailable)
		}, want: breaker.Open},
		"which did so long ago": {after: func(s *service) {
			s.ends("transfer", true, 2, refused)
			s.again()
			for range 4 {
				time.Sleep(time.Minute)
				s.ends("order", true, 1, refused)
				s.ends("wallet", true, 1, nil)
			}
		}, want: breaker.Slow, told: 1},
		"which has succeeded since": {after: func(s *service) {
			s.ends("transfer", true, 2, refused)
			s.again()
			s.ends("transfer", true, 1, nil)
		}, want: breaker.Slow, told: 1},
		"looks succeed": {after: func(s *service) { s.ends("look", false, 9, nil) }, want: breaker.Open},
		"others had succeeded before": {
			before: func(s *service) { s.ends("wallet", true, 1, nil) }, after: func(*service) {}, want: breaker.Open,
		},
		"others succeeded long ago": {after: func(s *service) {
			s.ends("wallet", true, 1, nil)
			for range 3 {
				time.Sleep(time.Minute)
				s.ends("order", true, 1, refused)
			}
		}, want: breaker.Open, told: 1},
		"it has itself succeeded": {after: func(s *service) {
			s.ends("wallet", true, 1, nil)
			s.ends("order", true, 1, nil)
		}, want: breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := start(t, breaker.Config{Log: zerolog.New(&log)})
				s.ends("order", true, 9, refused)
				if c.before != nil {
					c.before(s)
				}
				s.ends("order", true, 10, refused)
				s.again()
				c.after(s)
				s.ends("order", true, 100, refused)
				s.is(t, c.want)
				s.ends("order", true, 1, nil)
				alone := strings.Count(log.String(), `"operation":"order","class":"unauthorized","status":403`)
				if again := strings.Count(log.String(), "is answered again"); alone != c.told || again != alone {
					t.Errorf("told %d times that it fails alone, %d times that it does not any more", alone, again)
				}
			})
		})
	}
}

// What is refused, for want of a permission or since it has moved, does not count; what leaves a doubt with each call does, though it
// alone fails: it is not called as often as it likes.
func TestHowOneOperationFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails *outcome.Error
		want  breaker.State
	}{
		"not permitted": {refused, breaker.Slow},
		"has moved":     {&outcome.Error{Verdict: outcome.Retrying, Class: outcome.ClassEndpoint, Status: 404}, breaker.Slow},
		"5xx":           {unavailable, breaker.Open},
		"no answer":     {outcome.Retry(outcome.ClassNoAnswer, true, nil), breaker.Open},
		"not sent":      {outcome.Retry(outcome.ClassNotSent, false, nil), breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t, breaker.Config{})
				s.ends("order", true, 10, c.fails)
				s.again()
				s.ends("wallet", true, 1, nil)
				s.ends("order", true, 100, c.fails)
				s.is(t, c.want)
			})
		})
	}
}

// One customer's refusals are not everybody's, whoever else could not be answered, or was refused long ago.
func TestOneCustomerIsRefused(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(s *service){
		"for another reason": func(s *service) { s.ends("order", true, 1, refused); s.fail(10, unavailable) },
		"not answered":       func(s *service) { s.ends("order", true, 10, unavailable) },
		"others long ago": func(s *service) {
			s.ends("order", true, 3, refused)
			time.Sleep(3 * time.Minute)
			s.ends("order", true, 1, refused)
			s.fail(10, unavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := start(t, breaker.Config{Log: zerolog.New(&log), Full: 4})
				before(s)
				s.again()
				s.ends("wallet", true, 4, nil)
				s.ends("order", true, 1, refused)
				if s.is(t, breaker.Closed); strings.Contains(log.String(), "everybody") {
					t.Error("told of everybody's")
				}
			})
		})
	}
}

// It is told each time that it is found.
func TestOneOperationFailsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := start(t, breaker.Config{Log: zerolog.New(&log), Full: 4})
		for range 3 {
			s.ends("order", true, 10, refused)
			s.again()
			s.ends("wallet", true, 4, nil)
			s.ends("order", true, 10, refused)
			s.is(t, breaker.Closed)
			time.Sleep(5 * time.Minute)
		}
		if n := strings.Count(log.String(), "refused to everybody, and others"); n != 3 {
			t.Errorf("told %d times, want 3", n)
		}
	})
}

// What an outage of before has shown says nothing of what fails now.
func TestOneOperationFailsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, breaker.Config{Full: 4})
		s.ends("order", true, 1, refused)
		s.fail(10, unavailable)
		s.again()
		s.ends("wallet", true, 4, nil)
		s.is(t, breaker.Closed)
		time.Sleep(3 * time.Minute)
		s.ends("wallet", true, 1, nil)
		s.ends("order", true, 10, refused)
		s.is(t, breaker.Open)
	})
}

// An outage of all is seen although one operation had been refused before, by what else fails, or by what has no connection.
func TestOutageOfAllAfterOfOne(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(s *service){
		"others":        func(s *service) { s.ends("wallet", true, 10, unavailable) },
		"no token":      func(s *service) { s.fail(10, refused) }, // as the token endpoint says
		"no connection": func(s *service) { s.fail(10, outcome.Retry(outcome.ClassNotSent, false, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t, breaker.Config{Full: 4})
				s.ends("order", true, 10, refused)
				s.fail(2, outcome.Retry(outcome.ClassNotSent, false, nil))
				s.again()
				s.ends("wallet", true, 4, nil)
				s.is(t, breaker.Closed)
				s.ends("order", true, 10, refused)
				s.is(t, breaker.Closed)
				fail(s)
				s.is(t, breaker.Open)
			})
		})
	}
}
