package sandbox

import (
	"fmt"
	"slices"
	"time"
)

// rules are verdicts on what has not been called for yet.
type rules struct {
	kyc  []kycRule
	task []*taskRule
}

type kycRule struct {
	match map[string]any
	KYC
}

type taskRule struct {
	operation string
	match     map[string]any
	left      int // how often it still applies; negative: for ever
	TaskRule
}

func (r *rules) kycOf(c *call, def KYC) KYC {
	for _, rule := range r.kyc {
		if c.matches(rule.match) {
			return rule.KYC
		}
	}
	return def
}

func (r *rules) taskOf(c *call, def TaskRule) TaskRule {
	for _, rule := range r.task {
		if rule.left == 0 || rule.operation != c.op.name || !c.matches(rule.match) {
			continue
		}
		rule.left--
		return rule.TaskRule
	}
	return def
}

// NextKYC decides on investors yet to be created whose body has these fields, as natural_person.surname.
func (s *Server) NextKYC(match map[string]any, verdict KYC) error {
	if verdict.Verdict = orDefault(verdict.Verdict, KYCSuccess); !verdict.valid() {
		return fmt.Errorf("KYC: verdict %q, delay %s", verdict.Verdict, verdict.Delay)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.kyc = append(s.rules.kyc, kycRule{match, verdict})
	return nil
}

// SetKYC ends the KYC of an investor, counted from now, whatever it lacks and however it ended before. Investments that
// the old verdict ended stay so.
func (s *Server) SetKYC(investorID string, verdict KYC) error {
	if verdict.Verdict = orDefault(verdict.Verdict, KYCSuccess); !verdict.valid() {
		return fmt.Errorf("KYC: verdict %q, delay %s", verdict.Verdict, verdict.Delay)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.world.investors[investorID]
	if i == nil {
		return fmt.Errorf("KYC: there is no investor %q", investorID)
	}
	now := time.Now()
	s.advance(i, now)
	i.kyc.force(verdict, now)
	return nil
}

// NextTask decides on the next n tasks (0: on all) of an operation whose body or path has these fields.
func (s *Server) NextTask(operation string, match map[string]any, n int, rule TaskRule) error {
	if !slices.Contains(taskOperations, operation) || !rule.valid() || n < 0 {
		return fmt.Errorf("task: operation %q, verdict %q, delay %s, %d times", operation, rule.Verdict, rule.Delay, n)
	}
	if n == 0 {
		n = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.task = append(s.rules.task, &taskRule{operation, match, n, rule})
	return nil
}

// SetTask ends a task now: succeeded, failed, or unknown (and did not happen). What has happened stays.
func (s *Server) SetTask(taskID, verdict string) error {
	if !slices.Contains([]string{TaskSucceeded, TaskFailed, TaskUnknown}, verdict) {
		return fmt.Errorf("task: verdict %q", verdict)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.world.tasks[taskID]
	if t == nil {
		return fmt.Errorf("task: there is no %q", taskID)
	}
	now := time.Now()
	s.advance(t.owner, now)
	if err := t.settle(verdict, t.applied, now); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	return nil
}

// SetStatus gives an investment a status, known or not, that stays; "" lets it go its own way again. DELIVERED is what
// a credit by hand does, in the provider's front end: the units arrive in the wallet, and the ledger says so.
func (s *Server) SetStatus(investmentID, status string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.world.investments[investmentID]
	if n == nil {
		return fmt.Errorf("status: there is no investment %q", investmentID)
	}
	now := time.Now()
	s.advance(n.investor, now)
	switch {
	case status == "":
		n.forced = false
		return nil
	case status == StatusDelivered && n.status != StatusDelivered:
		to := n.target()
		if to == nil {
			return fmt.Errorf("status: investment %q has no wallet to deliver to", investmentID)
		}
		s.world.deliver(n, to, now)
		s.ledger.effect(Effect{
			Time: now, Operation: "credit_by_hand", ObjectID: n.id, Target: n.id, InvestorID: n.investor.id,
		})
	}
	n.become(status, now)
	n.forced = true
	return nil
}

// Reset forgets everything that was made, called, cached, set or ruled. Configuration, credentials and access tokens
// stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world = newWorld(s.config.Campaigns)
	s.keys = newKeyCache(s.config.Idempotency)
	s.faults.armed = nil
	s.rules = rules{}
	s.outbox = outbox{}
	inFlight := s.ledger.stats.InFlight
	s.ledger = newLedger(s.config.CallLog)
	s.ledger.stats.InFlight = inFlight
}
