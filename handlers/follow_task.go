package handlers

import (
	"context"
	"net/http"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

const followTask = "task/" // and the key of the redemption or transfer

// followTask looks at the task of a redemption or a transfer until it ends. One that failed is an end like another: a
// new event tries again. One that the provider does not know the end of needs a person, and is looked at all the same.
func (h *Handlers) followTask(ctx context.Context, r *attempt.Run, key string) error {
	p := r.Position(key)
	get, step := h.api.Transfer, stepTransfer
	if _, ok := redemption(key); ok {
		get, step = h.api.Redemption, stepRedemption
	}
	task, err := get(ctx, p.TaskID)
	if v := outcome.Of(err); v != nil && (r.Decided() == "" || v.Status != http.StatusNotFound) {
		return unseen(err)
	}
	task.Status = decided(r, task.Status)
	if string(task.Status) != p.Status {
		p.Status, p.Since = string(task.Status), now()
	}
	switch task.Status {
	case distributor.Succeeded, distributor.Failed:
		return publishMovement(r, key)
	case distributor.Unknown:
		return outcome.At(step, outcome.Unknown(outcome.TaskUnknown, nil))
	}
	return outcome.Wait(outcome.StatusPending, "")
}
