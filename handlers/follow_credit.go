package handlers

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

const followCredit = "credit"

// followCredit has the securities of a paid order delivered, and looks at the task until it ends.
//
//	not paid yet ──▶ waits for the status to change
//	paid ──▶ read just before ──▶ delivered by hand: success
//	                          ──▶ credit ──▶ processing … ──▶ succeeded, failed or unknown
func (h *Handlers) followCredit(ctx context.Context, r *attempt.Run) error {
	id := orderID(r)
	o := r.Order(id)
	if o.CreditTask != "" {
		return h.lookAtCredit(ctx, r, id)
	}
	if !r.Begun(stepCredit) {
		if o.Status != h.creditAt && !h.isFinal(o.Status) {
			return outcome.Wait(outcome.StatusPending, attempt.KeyOrder(id))
		}
		if err := h.lookAtInvestment(ctx, r, id); err != nil {
			return err
		}
		if o.Status != h.creditAt {
			return h.creditedByHand(r, id)
		}
	}
	return h.credit(ctx, r, id)
}

// creditedByHand ends a credit that the bridge need not ask for, or waits if the status went elsewhere.
func (h *Handlers) creditedByHand(r *attempt.Run, id string) error {
	o := r.Order(id)
	switch {
	case o.Status == distributor.InvestmentDelivered:
		o.CreditStatus = attempt.TaskSucceeded
		return publishCredit(r, id, schemas.TypeCreditSucceeded, true)
	case h.isFinal(o.Status):
		return nil
	}
	return outcome.Wait(outcome.StatusPending, attempt.KeyOrder(id))
}

// creditBody is what the step sends: all of it is in the path.
type creditBody struct{ Investment string }

// credit asks for the credit.
func (h *Handlers) credit(ctx context.Context, r *attempt.Run, id string) error {
	o := r.Order(id)
	a, err := attempt.Do(ctx, r, stepCredit, attempt.Refs{refInvestment: o.InvestmentID},
		func(refs attempt.Refs) creditBody { return creditBody{refs[refInvestment]} },
		func(ctx context.Context, key uuid.UUID, b creditBody) (distributor.Task, error) {
			return h.api.CreateCredit(ctx, distributor.Key(key), b.Investment)
		})
	if err != nil {
		return h.creditRefused(ctx, r, id, err)
	}
	o.CreditTask, o.CreditStatus, o.GivenUp = a.ID, attempt.TaskProcessing, false
	if err := publishCredit(r, id, schemas.TypeCreditStarted, false); err != nil {
		return err
	}
	if a.Status == distributor.Unknown {
		return outcome.Wait(outcome.StatusPending, "") // told when it is looked at: first that it was started
	}
	return creditStatus(r, id, a.Status)
}

// creditRefused looks at the investment once more if the API refused the credit: between reading and asking somebody may
// have credited it by hand, and that is success.
func (h *Handlers) creditRefused(ctx context.Context, r *attempt.Run, id string, refusal error) error {
	if v := outcome.Of(refusal); v.Verdict != outcome.Rejected {
		return refusal
	}
	if err := h.lookAtInvestment(ctx, r, id); err != nil || r.Order(id).Status != distributor.InvestmentDelivered {
		return refusal
	}
	return h.creditedByHand(r, id)
}

// lookAtCredit reads the credit's task. The task's path is an assumption [A]: where the API does not know it, the
// investment's status tells.
func (h *Handlers) lookAtCredit(ctx context.Context, r *attempt.Run, id string) error {
	o := r.Order(id)
	task, err := h.api.Credit(ctx, o.InvestmentID, o.CreditTask)
	if err == nil {
		return creditStatus(r, id, decided(r, task.Status))
	}
	if outcome.Of(err).Status != http.StatusNotFound {
		return unseen(err)
	}
	if err := h.lookAtInvestment(ctx, r, id); err != nil {
		return err
	}
	if o.Status == distributor.InvestmentDelivered {
		return creditStatus(r, id, distributor.Succeeded)
	}
	if r.Decided() != "" {
		return creditStatus(r, id, decided(r, distributor.Unknown))
	}
	return outcome.Wait(outcome.StatusPending, "")
}

// decided gives a task's status: that of the API, unless it does not know, and a person does.
func decided(r *attempt.Run, status distributor.TaskStatus) distributor.TaskStatus {
	if status == distributor.Succeeded || status == distributor.Failed {
		return status
	}
	switch r.Decided() {
	case attempt.Happened:
		return distributor.Succeeded
	case attempt.DidNotHappen:
		return distributor.Failed
	}
	return status
}

// creditStatus remembers what the API tells of the credit's task, and publishes its end.
func creditStatus(r *attempt.Run, id string, status distributor.TaskStatus) error {
	o := r.Order(id)
	o.CreditStatus = string(status)
	switch status {
	case distributor.Succeeded:
		return publishCredit(r, id, schemas.TypeCreditSucceeded, false)
	case distributor.Failed:
		return publishCredit(r, id, schemas.TypeCreditFailed, false)
	case distributor.Unknown:
		return outcome.At(stepCredit, outcome.Unknown(outcome.TaskUnknown, nil))
	}
	return outcome.Wait(outcome.StatusPending, "")
}

func publishCredit(r *attempt.Run, id, typ string, byHand bool) error {
	o := r.Order(id)
	return r.Publish(typ, attempt.KeyOrder(id), schemas.CreditProgress{
		CustomerID: r.Event().Customer, OrderID: id, InvestmentID: o.InvestmentID, TaskID: o.CreditTask, ByHand: byHand,
	})
}
