package handlers

import (
	"encoding/json"
	"fmt"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
)

// Answer gives what the API would have answered to a step's call, had its answer not been lost: a person has found out that it
// happened, and id is what the provider calls that which it made. refs are those of the call. What else the answer would have told
// is looked up by whoever needs it.
func Answer(step string, refs attempt.Refs, id string) (json.RawMessage, error) {
	var answer any
	switch step {
	case stepInvestor, stepIdentification:
		answer = distributor.Created{ID: id}
	case stepPersons:
		answer = []distributor.PersonID{{PersonID: id}}
	case stepWallet:
		answer = distributor.Wallet{ID: id}
	case stepInvestment:
		answer = placed{ID: id, Wallet: refs[refWallet]}
	case stepCredit, stepRedemption, stepTransfer:
		answer = distributor.Task{ID: id, Status: distributor.Processing}
	default:
		return nil, fmt.Errorf("step %s has no answer that a person could give", step)
	}
	return json.Marshal(answer)
}
