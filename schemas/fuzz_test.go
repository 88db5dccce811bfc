package schemas_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"distributor-bridge/schemas"
)

// FuzzDecode feeds records in both modes: nothing panics, every error is one of the contract's, and what is accepted
// decodes into its Go type, survives the way through that type, and has a customer and a subject.
func FuzzDecode(f *testing.F) {
	contract := newContract(f)
	for _, file := range glob(f, "examples/*/*.json") {
		f.Add(read(f, file), "application/cloudevents+json", "", "")
	}
	for _, file := range glob(f, "examples/*/valid*.json") {
		e, err := contract.Decode(read(f, file), structured)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(e.Data), e.DataContentType, e.Type, e.Time.Format("2006-01-02T15:04:05Z07:00"))
	}
	f.Fuzz(func(t *testing.T, value []byte, contentType, typ, time string) {
		e, err := contract.Decode(value, binary("content-type", contentType, "ce_type", typ, "ce_time", time, "ce_x", typ))
		if err != nil {
			assertContractual(t, err)
			return
		}
		if err := contract.Validate(e); err != nil {
			assertContractual(t, err)
		} else {
			assertLossless(t, contract, e)
		}
		if err := contract.ValidateResult(e); err != nil {
			assertContractual(t, err)
		}
		_ = contract.Subject(e)
	})
}

// FuzzRoundTrip decodes a record and sends it out in both modes: it comes in again as it was.
func FuzzRoundTrip(f *testing.F) {
	contract := newContract(f)
	for _, file := range glob(f, "examples/*/valid*.json") {
		f.Add(read(f, file), "subject", "correlation")
	}
	f.Add([]byte(`{"specversion":"1.0","id":"\u2028","source":"?<&>","type":"t","time":"0001-01-01T00:00:00Z","data_base64":"/w=="}`), "", "")
	f.Fuzz(func(t *testing.T, value []byte, subject, correlation string) {
		if e, err := contract.Decode(value, structured); err == nil {
			roundTrip(t, contract, e)
		}
		headers := binary("ce_subject", subject, "ce_correlationid", correlation, "ce_ext", subject)
		if e, err := contract.Decode(value, headers); err == nil {
			roundTrip(t, contract, e)
		}
	})
}

func assertContractual(t *testing.T, err error) {
	t.Helper()
	var broken *schemas.InvalidError
	if errors.Is(err, schemas.ErrUnknownType) || errors.Is(err, schemas.ErrCommand) {
		return
	}
	if !errors.As(err, &broken) || len(broken.Violations) == 0 || len(broken.Violations) > 10 {
		t.Fatalf("not an error of the contract: %v", err)
	}
	for _, v := range broken.Violations {
		if v.Keyword == "" || v.Pointer != "" && !strings.HasPrefix(v.Pointer, "/") {
			t.Fatalf("not a violation: %q", v)
		}
	}
}

func assertLossless(t *testing.T, contract *schemas.Contract, e schemas.Event) {
	t.Helper()
	if e.CustomerID == "" || contract.Subject(e) == "" {
		t.Fatalf("accepted without customer %q or subject %q", e.CustomerID, contract.Subject(e))
	}
	data, err := decodeAny(e)
	if err != nil {
		t.Fatalf("accepted, but: %v", err)
	}
	again := e
	if again.Data, err = json.Marshal(data); err != nil {
		t.Fatal(err)
	}
	if err := contract.Validate(again); err != nil {
		t.Fatalf("accepted, but not after the way through Go: %v", err)
	}
	dataAgain, err := decodeAny(again)
	if err != nil || !reflect.DeepEqual(data, dataAgain) {
		t.Fatalf("other data after the way through Go: %v", err)
	}
}

func decodeAny(e schemas.Event) (any, error) {
	switch e.Name {
	case schemas.TypeCustomerVerified:
		return schemas.Data[schemas.CustomerVerified](e)
	case schemas.TypeCustomerUpdated:
		return schemas.Data[schemas.CustomerUpdated](e)
	case schemas.TypeCustomerWalletAdded:
		return schemas.Data[schemas.CustomerWalletAdded](e)
	case schemas.TypeCustomerLinked:
		d, err := schemas.Data[schemas.CustomerLinked](e)
		if len(d.Wallets) == 0 {
			d.Wallets = nil // an empty list and none are the same
		}
		return d, err
	case schemas.TypeOrderPaid:
		return schemas.Data[schemas.OrderPaid](e)
	case schemas.TypeOrderCreditReleased:
		return schemas.Data[schemas.OrderCreditReleased](e)
	case schemas.TypePositionRedeemed:
		return schemas.Data[schemas.PositionRedeemed](e)
	default:
		return schemas.Data[schemas.PositionTransferred](e)
	}
}

// BenchmarkDecodeValidate is what intake pays for an event: the envelope, the schema, the documents.
func BenchmarkDecodeValidate(b *testing.B) {
	contract := newContract(b)
	for _, name := range []string{"order.credit_released/valid", "customer.verified/valid-company", "order.paid/valid-all"} {
		e := example(b, contract, name)
		for mode, encode := range map[string]func(schemas.Event) ([]byte, []schemas.Header){
			"binary": schemas.Event.Binary, "structured": schemas.Event.Structured,
		} {
			value, headers := encode(e)
			b.Run(e.Name+"/"+mode, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(value)))
				for b.Loop() {
					e, err := contract.Decode(value, headers)
					if err != nil {
						b.Fatal(err)
					}
					if err := contract.Validate(e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
