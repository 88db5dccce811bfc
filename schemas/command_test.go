package schemas_test

import (
	"errors"
	"testing"
	"time"

	"distributor-bridge/schemas"
)

// A command goes through a record unchanged, and is valid as a command; as an event it is refused, as is any other that calls
// itself one, and a result.
func TestCommand(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	want := schemas.CommandResume{By: "alex", Why: "mended", Type: schemas.TypeOrderPaid, Pauses: []string{"p-1"}}
	command, err := contract.NewCommand(schemas.TypeCommandResume, "/bridge", want)
	if err != nil {
		t.Fatal(err)
	}
	value, headers := command.Binary()
	e, err := contract.Decode(value, headers)
	if err != nil {
		t.Fatal(err)
	}
	if err := contract.ValidateCommand(e); err != nil {
		t.Error(err)
	}
	data, err := schemas.Data[schemas.CommandResume](e)
	if err != nil || data.By != want.By || data.Why != want.Why || data.Type != want.Type || len(data.Pauses) != 1 {
		t.Errorf("got %+v, %v", data, err)
	}
	if e.ID == "" || e.Source != "/bridge" || e.Type != "distributor.command.resume" || time.Since(e.Time) > time.Minute {
		t.Errorf("got %q %q %q %s", e.ID, e.Source, e.Type, e.Time)
	}
	if err := contract.Validate(e); !errors.Is(err, schemas.ErrCommand) {
		t.Errorf("as an event: %v", err)
	}
	for name, want := range map[string]error{
		"command.nobodys": schemas.ErrCommand, "result.event.rejected": schemas.ErrUnknownType, "commands": schemas.ErrUnknownType,
	} {
		if err := contract.Validate(schemas.Event{Name: name, Data: e.Data, DataContentType: "application/json"}); !errors.Is(err, want) {
			t.Errorf("an event %s: %v, want %v", name, err, want)
		}
	}
	if err := contract.ValidateCommand(schemas.Event{Name: "command.newer"}); !errors.Is(err, schemas.ErrUnknownType) {
		t.Errorf("a newer command: %v", err)
	}
	if contract.Subject(e) != "" || e.CustomerID != "" {
		t.Error("a command is taken for a customer's event")
	}
}

// What is no command cannot be built.
func TestNewCommandRefuses(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	for what, try := range map[string]func() (schemas.Event, error){
		"no reason": func() (schemas.Event, error) {
			return contract.NewCommand(schemas.TypeCommandResume, "/b", schemas.CommandResume{By: "alex", Type: "order.paid", Pauses: []string{"p"}})
		},
		"an event's name": func() (schemas.Event, error) {
			return contract.NewCommand(schemas.TypeOrderPaid, "/b", schemas.OrderPaid{})
		},
		"other data": func() (schemas.Event, error) {
			return contract.NewCommand(schemas.TypeCommandResume, "/b", schemas.OrderPaid{})
		},
	} {
		if e, err := try(); err == nil {
			t.Errorf("%s: built %s", what, e.ID)
		}
	}
}
