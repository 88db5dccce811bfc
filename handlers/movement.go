package handlers

import (
	"context"
	"strings"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// movement is what a redemption and a transfer have in common: both take units from a wallet, in a task.
type movement struct {
	key      string // of the object
	idField  string // of the event: where the redemption's or transfer's ID is
	step     string
	digest   string // of the event's data
	offering string
	wallet   string // address; empty if none is named
}

// begun is what an order or a position was begun with.
type begun struct {
	digest  string // of the event's data; empty: it was not
	event   string // whose
	unknown bool   // nobody knows whether it was made
	made    bool   // it surely was
}

// allows says whether the run's event, with data of that digest, may go on with it; field is where the event names it. What the event
// itself has made (answered) it goes on with, whatever the data of a replay say: its steps look.
func (b begun) allows(r *attempt.Run, digest string, answered bool, field string) error {
	own := b.event == r.Event().Hash()
	other := b.digest != "" && b.digest != digest && !answered
	switch {
	case other && r.Replayed() && !own && b.made:
		return outcome.Reject(outcome.Superseded)
	case other, b.unknown && !own:
		return outcome.Reject(outcome.Conflict, field)
	}
	return nil
}

// moveCall makes the call of a movement, with what its body takes from elsewhere.
type moveCall func(context.Context, attempt.Refs) (distributor.Task, error)

// move makes the call, unless the object has a task: then nothing is asked again. One that came before with other data
// is rejected.
func (h *Handlers) move(ctx context.Context, r *attempt.Run, m movement, call moveCall) error {
	if _, ok := h.offerings[m.offering]; !ok && !r.Begun(m.step) {
		return outcome.Reject(outcome.UnknownOffering, "offering")
	}
	p, hash := r.Position(m.key), r.Event().Hash()
	answered := r.Answered(m.step) // then it is made, whatever the data of a replay say
	before := begun{digest: p.Digest, event: p.Event, unknown: p.GivenUp && p.TaskID == "", made: p.TaskID != ""}
	if err := before.allows(r, m.digest, answered, m.idField); err != nil {
		return err
	}
	if p.TaskID == "" || answered && r.Replayed() {
		if p.Event == "" {
			p.Digest, p.Event = m.digest, hash
		}
		task, err := h.start(ctx, r, m, call)
		if err != nil && !answered {
			if p.Event == hash && outcome.Of(err).Verdict == outcome.Rejected {
				*p = attempt.Position{} // a corrected event may have other data
			}
			return err
		}
		if p.TaskID == "" {
			p.Event, p.TaskID, p.Status, p.Since, p.GivenUp = hash, task.ID, string(task.Status), now(), false
			if task.Status == distributor.Unknown {
				p.Status = attempt.TaskProcessing // the follow-up tells: this event has done what it could
			}
		}
		if err != nil {
			return err
		}
	}
	if p.Event == hash && p.Status == attempt.TaskProcessing {
		r.Follow(m.key, followTask+m.key)
	}
	return publishMovement(r, m.key)
}

// start asks for the task, when investor and wallet are there and nothing else moves what the customer holds. Once the
// call may have been made the refs of its intent hold, and nothing is chosen again.
func (h *Handlers) start(ctx context.Context, r *attempt.Run, m movement, call moveCall) (distributor.Task, error) {
	if r.Begun(m.step) {
		return call(ctx, nil)
	}
	c := r.Customer()
	if c.InvestorID == "" {
		return distributor.Task{}, outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
	}
	w, err := chooseWallet(r, m.wallet)
	if err != nil {
		return distributor.Task{}, err
	}
	if r.Processing(m.key) {
		return distributor.Task{}, outcome.Wait(outcome.PositionProcessing, schemas.SubjectPositions)
	}
	return call(ctx, attempt.Refs{
		refInvestor: c.InvestorID, refWallet: w.ID, refProduct: h.offerings[m.offering].Product,
	})
}

// redemption gives the ID of the redemption whose object is at key; ok is false if that is a transfer.
func redemption(key string) (id string, ok bool) {
	return strings.CutPrefix(key, attempt.KeyRedemption(""))
}

// publishMovement tells how the redemption or transfer at key stands. One whose end is unknown has been started.
func publishMovement(r *attempt.Run, key string) error {
	p, customer := r.Position(key), r.Event().Customer
	if id, ok := redemption(key); ok {
		typ := ending(p.Status, schemas.TypeRedemptionStarted, schemas.TypeRedemptionSucceeded, schemas.TypeRedemptionFailed)
		return r.Publish(typ, schemas.SubjectPositions, schemas.RedemptionProgress{
			CustomerID: customer, RedemptionID: id, TaskID: p.TaskID,
		})
	}
	typ := ending(p.Status, schemas.TypeTransferStarted, schemas.TypeTransferSucceeded, schemas.TypeTransferFailed)
	return r.Publish(typ, schemas.SubjectPositions, schemas.TransferProgress{
		CustomerID: customer, TransferID: strings.TrimPrefix(key, attempt.KeyTransfer("")), TaskID: p.TaskID,
	})
}

// ending gives the type of result that a task's status stands for.
func ending(status, started, succeeded, failed string) string {
	switch status {
	case attempt.TaskSucceeded:
		return succeeded
	case attempt.TaskFailed:
		return failed
	}
	return started
}
