package schemas_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/schemas"
)

const released = `{"customer_id":"customer-42","order_id":"order-1003"}`

// binary gives the headers of an order.credit_released in binary mode, changed by pairs of key and value; the value "-"
// takes a header away.
func binary(changes ...string) []schemas.Header {
	headers := map[string]string{
		"ce_specversion": "1.0", "ce_id": "e-1", "ce_source": "/orders", "ce_type": "distributor.order.credit_released",
		"ce_time": "2026-01-15T10:30:00+01:00", "content-type": "application/json",
	}
	for i := 0; i < len(changes); i += 2 {
		headers[changes[i]] = changes[i+1]
	}
	var all []schemas.Header
	for key, value := range headers {
		if value != "-" {
			all = append(all, schemas.Header{Key: key, Value: []byte(value)})
		}
	}
	return all
}

func TestDecodeBinary(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	const (
		parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		hop    = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"
	)
	got, err := contract.Decode([]byte(released), binary("ce_subject", "s", "ce_correlationid", "c", "ce_causationid", "p",
		"ce_traceparent", parent, "ce_tracestate", "k=v", "ce_dataschema", "https://example.com/s", "source_topic", "orders"))
	if err != nil {
		t.Fatal(err)
	}
	want := schemas.Event{
		ID: "e-1", Source: "/orders", Type: "distributor.order.credit_released", Name: schemas.TypeOrderCreditReleased,
		Subject: "s", Time: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC), CustomerID: "customer-42", CorrelationID: "c",
		CausationID: "p", TraceParent: parent, DataContentType: "application/json", DataSchema: "https://example.com/s",
		Data: []byte(released), Extensions: map[string]string{"tracestate": "k=v"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s\nwant %s", dump(got), dump(want))
	}
	if err := contract.Validate(got); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		headers []schemas.Header
		want    string
	}{
		{binary("ce_traceparent", parent, "traceparent", hop), hop},
		{binary("ce_traceparent", parent, "traceparent", "garbage"), parent},
		{binary("ce_traceparent", "garbage"), ""},
	} {
		e, err := contract.Decode([]byte(released), c.headers)
		if err != nil || e.TraceParent != c.want {
			t.Errorf("traceparent: got %q, %v, want %q", e.TraceParent, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	twice := append(binary(), schemas.Header{Key: "ce_id", Value: []byte("e-2")})
	for _, c := range []struct {
		name    string
		value   string
		headers []schemas.Header
		want    []schemas.Violation
	}{
		{"nothing", "", nil, []schemas.Violation{{"/id", "required"}, {"/source", "required"}, {"/specversion", "required"},
			{"/time", "required"}, {"/type", "required"}}},
		{"no id", released, binary("ce_id", "-"), []schemas.Violation{{"/id", "required"}}},
		{"blank id", released, binary("ce_id", "  "), []schemas.Violation{{"/id", "format"}}},
		{"id twice", released, twice, []schemas.Violation{{"/id", "uniqueKeys"}}},
		{"long id", released, binary("ce_id", strings.Repeat("x", 1025)), []schemas.Violation{{"/id", "maxLength"}}},
		{"id of other bytes", released, binary("ce_id", "\xff"), []schemas.Violation{{"/id", "encoding"}}},
		{"line break", released, binary("ce_source", "/a\nb"), []schemas.Violation{{"/source", "format"}, {"/source", "pattern"}}},
		{"time", released, binary("ce_time", "yesterday"), []schemas.Violation{{"/time", "format"}}},
		{"version", released, binary("ce_specversion", "0.3"), []schemas.Violation{{"/specversion", "const"}}},
		{"content type", released, binary("content-type", "application/;"), []schemas.Violation{{"/datacontenttype", "format"}}},
		{"schema", released, binary("ce_dataschema", "no uri"), []schemas.Violation{{"/dataschema", "format"}}},
		{"attribute in upper case", released, binary("ce_Marked", "x"), []schemas.Violation{{"", "propertyNames"}}},
		{"attribute with a dash", released, binary("ce_a-b", "x"), []schemas.Violation{{"", "propertyNames"}}},
		{"attribute data", released, binary("ce_data", "x"), []schemas.Violation{{"", "propertyNames"}}},
		{"batch", "[]", binary("content-type", "application/cloudevents-batch+json"), []schemas.Violation{{"", "contentMediaType"}}},
		{"latin-1", "{}", binary("content-type", "application/cloudevents+json; charset=latin1"),
			[]schemas.Violation{{"", "contentMediaType"}}},
		{"array", "[]", structured, []schemas.Violation{{"", "type"}}},
		{"member twice", `{"id":"a","id":"b"}`, structured, []schemas.Violation{{"", "uniqueKeys"}}},
		{"float attribute", `{"id":1.5}`, structured, []schemas.Violation{{"/id", "type"}}},
		{"base64", `{"data_base64":"?"}`, structured, []schemas.Violation{{"/data_base64", "format"}}},
		{"bomb", strings.Repeat(`{"data":`, 20_000) + strings.Repeat("}", 20_000), structured, []schemas.Violation{{"", "json"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := contract.Decode([]byte(c.value), c.headers)
			var broken *schemas.InvalidError
			if !errors.As(err, &broken) || !slices.Equal(broken.Violations, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// An unknown type is told as such, whatever its data are.
func TestUnknownType(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	for _, typ := range []string{"distributor.customer.registered", "distributor.unheard.of", "other.order.paid", "order.paid"} {
		e, err := contract.Decode([]byte{0xff}, binary("ce_type", typ, "content-type", "application/avro"))
		if err != nil {
			t.Errorf("%s: %v", typ, err)
		}
		if err := contract.Validate(e); !errors.Is(err, schemas.ErrUnknownType) {
			t.Errorf("%s: got %v, want ErrUnknownType", typ, err)
		}
		if subject := contract.Subject(e); subject != "" || e.CustomerID != "" {
			t.Errorf("%s: subject %q, customer %q", typ, subject, e.CustomerID)
		}
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	for prefix, ok := range map[string]bool{
		"": true, "distributor.": true, "com.example-1.d_2.": true, "distributor": false, ".": false, "a..": false, "ä.": false,
		strings.Repeat("a.", 65): false,
	} {
		contract, err := schemas.New(prefix)
		if (err == nil) != ok {
			t.Errorf("%q: %v", prefix, err)
		}
		if !ok {
			continue
		}
		e, err := contract.Decode([]byte(released), binary("ce_type", contract.FullType(schemas.TypeOrderCreditReleased)))
		if err != nil || e.Name != schemas.TypeOrderCreditReleased || contract.Validate(e) != nil {
			t.Errorf("%q: name %q, %v", prefix, e.Name, err)
		}
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	for file, want := range map[string]string{
		"customer.verified/valid-unknown-attributes": "customer", // whatever upstream calls it
		"customer.updated/valid-company":             "customer",
		"customer.linked/valid-wallets":              "customer",
		"customer.wallet_added/valid-checksum":       "wallet/0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
		"customer.wallet_added/invalid-checksum":     "",
		"order.paid/valid-all":                       "order/order-1001",
		"order.paid/invalid-order-id-long":           "",
		"order.credit_released/valid":                "order/order-1003",
		"position.redeemed/valid":                    "positions",
		"position.transferred/valid":                 "positions",
	} {
		if got := contract.Subject(example(t, contract, file)); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

// What goes out in either mode comes in as the same event.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	for _, file := range glob(t, "examples/*/valid*.json") {
		e, err := contract.Decode(read(t, file), structured)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, contract, e)
	}
	// Data that is no JSON text survives too, if only to lie in the dead letters.
	e, err := contract.Decode([]byte("{\"a\":\"\xff"), binary("content-type", "text/plain"))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, contract, e)
	e.Data = nil
	roundTrip(t, contract, e)
}

func roundTrip(t *testing.T, contract *schemas.Contract, e schemas.Event) {
	t.Helper()
	for mode, encode := range map[string]func(schemas.Event) ([]byte, []schemas.Header){
		"binary": schemas.Event.Binary, "structured": schemas.Event.Structured,
	} {
		value, headers := encode(e)
		got, err := contract.Decode(value, headers)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		want := e
		if mode == "structured" {
			got.Data, want.Data = bytes.Trim(got.Data, " \t\r\n"), bytes.Trim(want.Data, " \t\r\n")
		}
		if len(want.Data) == 0 && len(got.Data) == 0 {
			got.Data, want.Data = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", mode, dump(got), dump(want))
		}
		again, headersAgain := encode(got)
		if mode == "binary" && !bytes.Equal(again, value) || !reflect.DeepEqual(headersAgain, headers) {
			t.Errorf("%s: other bytes the second time", mode)
		}
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	e := example(t, contract, "order.paid/valid-all")
	order, err := schemas.Data[schemas.OrderPaid](e)
	if err != nil {
		t.Fatal(err)
	}
	if order.Units != 300 || *order.Credit != true || order.SignedDocuments[1].Document.Size != 48213 || order.OrderID != "order-1001" {
		t.Errorf("got %+v", order)
	}
	if _, err := schemas.Data[schemas.PositionRedeemed](e); err == nil {
		t.Error("an order is taken for a redemption")
	}
	e.Data = []byte(`{"units":4711.5}`)
	_, err = schemas.Data[schemas.OrderPaid](e)
	var broken *schemas.InvalidError
	if !errors.As(err, &broken) || strings.Contains(err.Error(), "4711") {
		t.Errorf("got %v", err)
	}
}

func example(t testing.TB, contract *schemas.Contract, name string) schemas.Event {
	t.Helper()
	e, err := contract.Decode(read(t, "examples/"+name+".json"), structured)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dump shows an event with its data, which Event itself does not.
func dump(e schemas.Event) string {
	type open schemas.Event
	return fmt.Sprintf("%+v %s", open(e), e.Data)
}
