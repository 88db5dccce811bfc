package schemas_test

import (
	"encoding/json"
	"testing"
	"time"

	"distributor-bridge/schemas"
)

// walletAdded is the event that the bridge is measured with: one call, small data.
func walletAdded(tb testing.TB, contract *schemas.Contract) schemas.Event {
	tb.Helper()
	return schemas.Event{
		ID: "0198f0c2-7d1b-7d5c-8a59-0c9b1d3c5e71", Source: "/bench", Type: contract.FullType(schemas.TypeCustomerWalletAdded),
		Name: schemas.TypeCustomerWalletAdded, Time: time.Date(2026, 1, 15, 9, 30, 0, 123_000_000, time.UTC),
		CustomerID: "bench-000042", DataContentType: "application/json",
		Data: []byte(`{"customer_id":"bench-000042","address":"0x00000000000000000000000000000000000000ab","receiving_enabled":true}`),
	}
}

// BenchmarkIntake is what intake pays for one event: decoded, validated, and encoded for the inbox.
func BenchmarkIntake(b *testing.B) {
	contract := newContract(b)
	for _, mode := range []struct {
		name   string
		encode func(schemas.Event) ([]byte, []schemas.Header)
	}{{"binary", schemas.Event.Binary}, {"structured", schemas.Event.Structured}} {
		value, headers := mode.encode(walletAdded(b, contract))
		b.Run(mode.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e, err := contract.Decode(value, headers)
				if err != nil {
					b.Fatal(err)
				}
				if err := contract.Validate(e); err != nil {
					b.Fatal(err)
				}
				e.Binary()
			}
		})
	}
}

// BenchmarkInbox is what the engine pays for one record of the inbox before its handler: the envelope and the subject.
func BenchmarkInbox(b *testing.B) {
	contract := newContract(b)
	value, headers := walletAdded(b, contract).Binary()
	b.ReportAllocs()
	for b.Loop() {
		e, err := contract.Decode(value, headers)
		if err != nil || contract.Subject(e) == "" {
			b.Fatal(err)
		}
	}
}

// BenchmarkData is what a handler pays for the Go type of one event's data.
func BenchmarkData(b *testing.B) {
	contract := newContract(b)
	e := walletAdded(b, contract)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schemas.Data[schemas.CustomerWalletAdded](e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkResult is what the publication of one result costs before Kafka: built out of its JSON, as state keeps it, and
// encoded.
func BenchmarkResult(b *testing.B) {
	contract := newContract(b)
	data, err := json.Marshal(schemas.WalletCreated{
		CustomerID: "bench-000042", InvestorID: "0198f0c2-7d1b-7d5c-8a59-0c9b1d3c5e71",
		WalletID: "0198f0c2-7d1b-7d5c-8a59-0c9b1d3c5e72", Kind: schemas.WalletOwn, Address: "0x00000000000000000000000000000000000000ab",
	})
	if err != nil {
		b.Fatal(err)
	}
	result := schemas.Result{
		Name: schemas.TypeWalletCreated, Source: "bridge", Subject: schemas.WalletSubject("0x00000000000000000000000000000000000000ab"),
		Time: time.Date(2026, 1, 15, 9, 30, 1, 456_000_000, time.UTC), Cause: walletAdded(b, contract).Cause(), Data: json.RawMessage(data),
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := contract.NewResult(result)
		if err != nil {
			b.Fatal(err)
		}
		e.Binary()
	}
}
