package consumer

import (
	"fmt"
	"testing"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// BenchmarkIntake is what intake pays for one record between fetching and appending it.
func BenchmarkIntake(b *testing.B) {
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		b.Fatal(err)
	}
	records := make([]kafka.Record, 1000)
	for i := range records {
		value, headers := schemas.Event{
			ID: fmt.Sprintf("wallet-%d", i), Source: "/bench", Type: contract.FullType(schemas.TypeCustomerWalletAdded),
			Time: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC),
			Data: fmt.Appendf(nil, `{"customer_id":"bench-%d","address":"0x%040x"}`, i, i),
		}.Binary()
		records[i] = kafka.Record{Topic: "upstream", Offset: int64(i), Value: value, Headers: headers}
	}
	got := kafka.Fetched{TopicPartition: kafka.TopicPartition{Topic: "upstream"}, Records: records}
	b.ReportAllocs()
	into := newBatch(Config{}, got)
	for n := 0; b.Loop(); n++ {
		if n%len(records) == 0 {
			into.leave()
			into = newBatch(Config{Inbox: "inbox", Partitions: 12}, got)
		}
		record := &records[n%len(records)]
		event, err := decode(contract, *record)
		if err == nil {
			err = contract.Validate(event)
		}
		if err != nil {
			b.Fatal(err)
		}
		if !into.fits(event.CustomerID, record) {
			into.clear()
		}
		into.add(event, record, spans{})
	}
}

// BenchmarkInboxDecode is what the engine pays for one record of the inbox before it looks at what is known of it.
func BenchmarkInboxDecode(b *testing.B) {
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		b.Fatal(err)
	}
	event := schemas.Event{
		ID: "wallet-42", Source: "/bench", Type: contract.FullType(schemas.TypeCustomerWalletAdded),
		Time: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC), CustomerID: "bench-42",
		Data: fmt.Appendf(nil, `{"customer_id":"bench-42","address":"0x%040x"}`, 42),
	}
	into := newBatch(Config{Inbox: "inbox", Partitions: 12}, kafka.Fetched{})
	into.add(event, &kafka.Record{}, spans{})
	p := &partition{cfg: &Config{Contract: contract}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.event(into.records[0]); err != nil {
			b.Fatal(err)
		}
	}
}
