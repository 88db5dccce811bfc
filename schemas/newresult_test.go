package schemas_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"distributor-bridge/schemas"
)

func TestNewResult(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	when := time.Date(2026, 1, 19, 9, 0, 7, 5_000_000, time.FixedZone("", 3600))
	cause := schemas.Cause{Source: "/onboarding", ID: "e-1"}
	registered := schemas.Result{
		Name: schemas.TypeCustomerRegistered, Subject: schemas.SubjectCustomer, Time: when, Cause: cause,
		Data: schemas.CustomerRegistered{CustomerID: "42", InvestorID: "i-1"},
	}
	got, err := contract.NewResult(registered)
	if err != nil {
		t.Fatal(err)
	}
	want := schemas.Event{
		ID:     schemas.ResultID("/onboarding", "e-1", "customer.registered", ""),
		Source: "distributor-bridge", Type: "distributor.customer.registered", Name: "customer.registered",
		Subject: "customer/42", Time: when.UTC(), CustomerID: "42", CorrelationID: "e-1", CausationID: "e-1",
		DataContentType: "application/json", Data: []byte(`{"customer_id":"42","investor_id":"i-1"}`),
		Extensions: map[string]string{"causationsource": "/onboarding"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s\nwant %s", dump(got), dump(want))
	}
	if err := contract.ValidateResult(got); err != nil {
		t.Error(err)
	}
	roundTrip(t, contract, got)

	again, err := contract.NewResult(registered)
	if err != nil {
		t.Fatal(err)
	}
	value, headers := got.Binary()
	valueAgain, headersAgain := again.Binary()
	if !bytes.Equal(value, valueAgain) || !reflect.DeepEqual(headers, headersAgain) {
		t.Error("the same input gives other bytes")
	}
}

// A result goes on with the event's correlation and trace, and has its source and its subject.
func TestNewResultFollowsItsCause(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	e := example(t, contract, "customer.verified/valid-person-own-wallet")
	got, err := contract.NewResult(schemas.Result{
		Name: schemas.TypeWalletCreated, Source: "bridge-2", Time: e.Time, Cause: e.Cause(),
		Subject: schemas.WalletSubject("0xABCdef"),
		Data:    schemas.WalletCreated{CustomerID: e.CustomerID, InvestorID: "i", WalletID: "w", Kind: schemas.WalletOwn},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.CorrelationID != "onboarding-44" || got.CausationID != e.ID || got.TraceParent != e.TraceParent ||
		got.Source != "bridge-2" || got.Subject != "wallet/0xabcdef" {
		t.Errorf("got %s", dump(got))
	}
}

// Results are built at the same time, of causes of several sources: each has its own.
func TestNewResultsDoNotMixTheirCauses(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 300 {
				source := fmt.Sprint("/source-", i*n%3)
				got, err := contract.NewResult(schemas.Result{
					Name: schemas.TypeTransferFailed, Subject: schemas.SubjectPositions, Time: time.Unix(1, 0),
					Cause: schemas.Cause{Source: source, ID: "e"},
					Data:  schemas.TransferProgress{CustomerID: "42", TransferID: "t", TaskID: "k"},
				})
				if err != nil || !reflect.DeepEqual(got.Extensions, map[string]string{"causationsource": source}) {
					t.Errorf("of %s: %v, %v", source, got.Extensions, err)
				}
				_, headers := got.Binary()
				want := schemas.Header{Key: "ce_causationsource", Value: []byte(source)}
				if !slices.ContainsFunc(headers, func(h schemas.Header) bool { return reflect.DeepEqual(h, want) }) {
					t.Errorf("of %s: %s", source, headers)
				}
			}
		})
	}
	all.Wait()
}

func TestNewResultRefuses(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	right := schemas.Result{
		Name: schemas.TypeTransferFailed, Subject: schemas.SubjectPositions, Time: time.Unix(1, 0),
		Cause: schemas.Cause{Source: "/s", ID: "e"},
		Data:  schemas.TransferProgress{CustomerID: "42", TransferID: "t", TaskID: "k"},
	}
	if _, err := contract.NewResult(right); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*schemas.Result){
		"an event's name": func(r *schemas.Result) { r.Name = schemas.TypeOrderPaid },
		"no name":         func(r *schemas.Result) { r.Name = "" },
		"other data":      func(r *schemas.Result) { r.Data = schemas.RedemptionProgress{} },
		"no data":         func(r *schemas.Result) { r.Data = nil },
		"no time":         func(r *schemas.Result) { r.Time = time.Time{} },
		"no subject":      func(r *schemas.Result) { r.Subject = "" },
		"no cause":        func(r *schemas.Result) { r.Cause.ID = "" },
		"no source":       func(r *schemas.Result) { r.Cause.Source = "" },
	} {
		wrong := right
		spoil(&wrong)
		if _, err := contract.NewResult(wrong); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The ID is fixed for ever: it is how consumers know a repeat. Parts that run together differently are different.
func TestResultID(t *testing.T) {
	t.Parallel()
	const want = "9039192b-3f94-5ff5-a359-147c0d30c95e"
	if got := schemas.ResultID("/payments", "e-1", "investment.status_changed", "PAID"); got != want {
		t.Errorf("got %s, want %s: every consumer will take repeats for news", got, want)
	}
	seen := map[string]bool{}
	for _, parts := range [][4]string{
		{"/a", "b", "c", "d"}, {"/ab", "", "c", "d"}, {"/a", "b", "cd", ""}, {"/a", "bc", "", "d"}, {"/a1:b", "", "c", "d"},
	} {
		seen[schemas.ResultID(parts[0], parts[1], parts[2], parts[3])] = true
	}
	if len(seen) != 5 {
		t.Errorf("5 different inputs give %d IDs", len(seen))
	}
}
