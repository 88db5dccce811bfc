package bridge_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/replay"
	"distributor-bridge/schemas"
)

// Operators' commands, and topics create, work with the permissions that are documented for them; with one less they say which.
func TestLeastPermissionsOfPeople(t *testing.T) {
	s := newSecured(t, nil)
	t.Run("operate", func(t *testing.T) {
		w := s.world(t)
		s.allow(t, "bridge", bridge.ACLs(w.cfg, bridge.RoleRun)...)
		m := w.start()
		defer m.stop()
		list := bridge.ACLs(w.cfg, bridge.RoleOperate)
		s.allow(t, "operator", list...)
		operators := w.cfg
		operators.Kafka.SASL = as("operator")
		if err := operate(w, operators, 0); err != nil {
			t.Fatalf("with all permissions: %v", err)
		}
		for i := range list {
			s.forbid(t, "operator", list[i])
			if err := operate(w, operators, i+1); err == nil || !tells(err.Error(), list[i]) {
				t.Errorf("without %s on %s %s: %v", list[i].Operation, list[i].Resource, list[i].Name, err)
			}
			s.allow(t, "operator", list[i])
		}
	})
	t.Run("create", func(t *testing.T) {
		w := s.world(t)
		makers := w.cfg
		makers.Kafka.SASL = as("maker")
		makers.Topics.Prefix += "another."
		list := bridge.ACLs(makers, bridge.RoleCreate)
		s.allow(t, "maker", list...)
		for _, a := range list {
			if a.Operation != "Create" {
				continue
			}
			s.forbid(t, "maker", a)
			err := bridge.CreateTopics(t.Context(), makers, io.Discard)
			if err == nil || !tells(err.Error(), a) {
				t.Errorf("without Create on %s: %v", a.Name, err)
			}
			s.allow(t, "maker", a)
		}
		if err := bridge.CreateTopics(t.Context(), makers, io.Discard); err != nil {
			t.Errorf("with all permissions: %v", err)
		}
		plan, err := bridge.PlanTopics(t.Context(), makers)
		if err != nil || len(plan.Exist) != 5 || len(plan.Create) > 0 {
			t.Errorf("what is seen of the topics: %+v, %v", plan, err)
		}
	})
}

// operate does what operators do: it shows all there is, and puts a dead letter back. What is done in the nth turn is about
// events of its own.
func operate(w *world, cfg bridge.Config, turn int) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	id := string(rune('a'+turn)) + "-person"
	person := verified(id)
	person.Person.Salutation = "FRAU"
	w.emit(event(id, schemas.TypeCustomerVerified, emitted, person))
	w.eventually("a dead letter", func() bool { return w.letters() > turn })
	d, err := bridge.OpenDesk(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer d.Close()
	_, errLetters := d.Letters(ctx, replay.Query{})
	_, errHeld := d.Held(ctx, replay.HeldQuery{})
	_, errStatus := d.Customer(ctx, id, "", time.Time{})
	_, errAudit := d.Commands(ctx, replay.CommandQuery{})
	if err := errors.Join(errLetters, errHeld, errStatus, errAudit); err != nil {
		return err
	}
	edit, err := replay.ParseEdit(`.person.salutation = "MS" | .person.surname += .customer_id`)
	if err != nil {
		return err
	}
	b, err := d.Prepare(ctx, replay.Query{Filter: replay.Filter{IDs: []string{id}}}, edit)
	if err != nil {
		return err
	}
	if _, err = d.Replay(ctx, b, carefully()); err != nil {
		return err
	}
	if !slices.ContainsFunc(b.Items, func(it replay.Item) bool { return it.Outcome == replay.EndedDone }) {
		return errors.New("the letter that was put back did not end well")
	}
	return nil
}
