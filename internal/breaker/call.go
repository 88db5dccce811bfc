package breaker

import (
	"net/http"
	"time"

	"distributor-bridge/internal/outcome"
)

// Call is one that has ended.
type Call struct {
	Customer  string    // for whom
	Operation string    // of the service's; empty if it did not come to that, for want of a token
	Effect    bool      // whether the operation has one that counts for others
	Began     time.Time // zero: at an unknown time
}

// What a call says about the service.
type word int

const (
	nothing word = iota
	well
	down
)

// says gives what a call that ended with err says. That a token or a permission is refused, or that the address leads
// elsewhere, is as bad as no answer: no event is to blame. A 503 is that too, whether it asks for time or not; a 429 is not.
func says(err *outcome.Error) word {
	if err == nil {
		return well
	}
	switch err.Class {
	case outcome.ClassNotSent, outcome.ClassNoAnswer, outcome.ClassServer, outcome.ClassUnauthorized, outcome.ClassEndpoint:
		return down
	case outcome.ClassThrottled:
		if err.Status == http.StatusServiceUnavailable {
			return down
		}
		return nothing
	case outcome.ClassInternal, outcome.ClassDocument, outcome.ClassEvent: // no call was made, or none that it could answer
		return nothing
	}
	return well
}

// refuses says whether an answer may be about the probe alone: a permission that it needs and others do not, or a fault at what it
// asks for.
func refuses(err *outcome.Error) bool {
	return err.Class == outcome.ClassEndpoint || err.Status == http.StatusForbidden || err.Status == http.StatusInternalServerError
}
