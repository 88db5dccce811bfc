package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

var taskOperations = []string{opCreateCredit, opCreateRedemption, opCreateTransfer}

// task is a credit, redemption or transfer that is under way, or has ended. What it needs is reserved from its start.
type task struct {
	id        string
	operation string
	parent    string // of a credit: the investment
	owner     *investor
	rule      TaskRule
	due       time.Time
	status    string

	reserved bool
	applied  bool
	take     func() bool     // reserves; false: there are too few units
	release  func()          // undoes take
	apply    func(time.Time) // makes it happen
}

// createCredit delivers the securities of an investment that is paid, to its wallet [G2].
func (s *Server) createCredit(c *call) reply {
	n, r := s.investmentOf(c)
	if r != nil {
		return *r
	}
	to := n.target()
	switch {
	case n.status != StatusPaid:
		return detail(http.StatusBadRequest, "The investment is %s, not %s.", n.status, StatusPaid)
	case to == nil:
		return refused("wallet", "The investment has no wallet.")
	case !to.receiving:
		return refused("wallet", "The wallet does not receive.")
	case slices.ContainsFunc(n.investor.tasks, func(t *task) bool {
		return t.parent == n.id && t.status == TaskProcessing
	}):
		return detail(http.StatusBadRequest, "A credit of this investment is being processed.")
	}
	return s.start(c, n.investor, &task{
		parent:  n.id,
		take:    func() bool { return true },
		release: func() {},
		apply:   func(now time.Time) { s.world.deliver(n, to, now) },
	})
}

// createRedemption takes units from a wallet, first in first out [G2][D].
func (s *Server) createRedemption(c *call) reply {
	var body struct {
		InvestorID string `json:"investor_id"`
		ProductID  string `json:"product_id"`
		WalletID   string `json:"wallet_id"`
		Units      int64  `json:"units"`
	}
	if r := c.decode(&body); r != nil {
		return *r
	}
	i := s.world.investors[body.InvestorID]
	if i == nil {
		return noSuch("investor_id", body.InvestorID)
	}
	product, ok := s.world.hasProduct(body.ProductID)
	if !ok {
		return noSuch("product_id", body.ProductID)
	}
	w := s.world.wallets[body.WalletID]
	if w == nil || w.investor != i {
		return noSuch("wallet_id", body.WalletID)
	}
	s.advance(i, c.now)
	t := s.moving(at(w.address, product), body.Units)
	t.apply = func(time.Time) {} // redeemed units are gone
	if !t.take() {
		return refused("units", "The wallet has too few units.")
	}
	t.reserved = true
	return s.start(c, i, t)
}

// createTransfer moves units to another address, of an investor or not [D].
func (s *Server) createTransfer(c *call) reply {
	var body struct {
		Product string          `json:"product"`
		Source  string          `json:"source_wallet"`
		Target  string          `json:"target_address"`
		Amount  json.RawMessage `json:"amount"`
	}
	if r := c.decode(&body); r != nil {
		return *r
	}
	units, ok := amount(body.Amount)
	if !ok {
		return refused("amount", "A valid positive integer is required.")
	}
	product, ok := s.world.hasProduct(body.Product)
	if !ok {
		return noSuch("product", body.Product)
	}
	w := s.world.wallets[body.Source]
	if w == nil {
		return noSuch("source_wallet", body.Source)
	}
	if same(w.address, body.Target) {
		return refused("target_address", "Source and target are the same.")
	}
	to := s.world.addresses[strings.ToLower(body.Target)]
	if to != nil && !to.receiving {
		return refused("target_address", "The wallet does not receive.")
	}
	s.advance(w.investor, c.now)
	t := s.moving(at(w.address, product), units)
	t.apply = func(now time.Time) { s.world.holdings.insert(at(body.Target, product), Lot{units, now}) }
	if !t.take() {
		return refused("amount", "The wallet has too few units.")
	}
	t.reserved = true
	if to != nil && to.investor != w.investor {
		to.investor.tasks = append(to.investor.tasks, t)
	}
	return s.start(c, w.investor, t)
}

// moving is a task that takes units from a position.
func (s *Server) moving(from position, units int64) *task {
	var lots []Lot
	return &task{
		take: func() (ok bool) {
			lots, ok = s.world.holdings.take(from, units)
			return ok
		},
		release: func() { s.world.holdings.insert(from, lots...) },
	}
}

// amount is a transfer's number of units: a positive integer, or its digits [A].
func amount(raw json.RawMessage) (int64, bool) {
	digits := string(raw)
	var text string
	if json.Unmarshal(raw, &text) == nil {
		digits = text
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n > 0
}

func (s *Server) start(c *call, owner *investor, t *task) reply {
	t.id, t.operation, t.owner, t.status = newID(), c.op.name, owner, TaskProcessing
	t.rule = s.rules.taskOf(c, s.config.Tasks[c.op.name])
	t.rule.Verdict = orDefault(t.rule.Verdict, TaskSucceeded)
	t.due = c.now.Add(t.rule.Delay)
	owner.tasks = append(owner.tasks, t)
	s.world.tasks[t.id] = t
	s.effect(c, t.id, owner.id)
	if t.rule.AtOnce {
		s.advance(owner, c.now)
	}
	return created(s.taskView(t))
}

// getTask answers for a credit's [A, ours], a redemption's [A] or a transfer's [A] task.
func (s *Server) getTask(c *call) reply {
	t := s.world.tasks[c.vars["task_id"]]
	if t == nil || strings.Replace(t.operation, "create_", "get_", 1) != c.op.name || t.parent != c.vars["investment_id"] {
		return notFound()
	}
	s.advance(t.owner, c.now)
	return found(s.taskView(t))
}

func (s *Server) taskView(t *task) object {
	status := t.status
	if status == TaskSucceeded {
		status = s.config.TaskSuccess
	}
	return object{"id": t.id, "status": status}
}

var (
	errHappened = errors.New("the task has happened and cannot be undone")
	errTooFew   = errors.New("the wallet has too few units by now")
)

// settle gives the task its verdict and makes the world agree with it.
func (t *task) settle(verdict string, unknownApplied bool, now time.Time) error {
	happens := verdict == TaskSucceeded || verdict == TaskUnknown && unknownApplied
	switch {
	case t.applied && !happens:
		return errHappened
	case happens && !t.applied:
		if !t.reserved && !t.take() {
			return errTooFew
		}
		t.reserved, t.applied = true, true
		t.apply(now)
	case !happens && t.reserved:
		t.release()
		t.reserved = false
	}
	t.status = verdict
	return nil
}

// advance brings everything of an investor to where it is by now: statuses, and tasks in the order in which they end.
func (s *Server) advance(i *investor, now time.Time) {
	for _, n := range i.investments {
		n.advance(now, s.config.StatusDelay)
	}
	var ended []*task
	for _, t := range i.tasks {
		if t.status == TaskProcessing && t.rule.Verdict != TaskProcessing && !now.Before(t.due) {
			ended = append(ended, t)
		}
	}
	slices.SortStableFunc(ended, func(a, b *task) int { return a.due.Compare(b.due) })
	for _, t := range ended {
		// Cannot fail: what a processing task needs is reserved, and it has not been applied.
		_ = t.settle(t.rule.Verdict, t.rule.Applied, t.due)
	}
}
