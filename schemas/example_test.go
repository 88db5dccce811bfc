package schemas_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"distributor-bridge/schemas"
)

// An event comes in: the envelope is read, the data judged, then taken as its Go type.
func ExampleContract_Decode() {
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		log.Fatal(err)
	}
	value := []byte(`{"customer_id":"42","redemption_id":"r-1","offering":"solar-2026","units":300}`)
	e, err := contract.Decode(value, []schemas.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte("8c1f")},
		{Key: "ce_source", Value: []byte("/orders")},
		{Key: "ce_type", Value: []byte("distributor.position.redeemed")},
		{Key: "ce_time", Value: []byte("2026-01-15T09:30:00Z")},
		{Key: "content-type", Value: []byte("application/json")},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := contract.Validate(e); err != nil {
		log.Fatal(err)
	}
	redemption, err := schemas.Data[schemas.PositionRedeemed](e)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Name, e.CustomerID, contract.Subject(e), redemption.Units)
	// Output: position.redeemed 42 positions 300
}

// An error tells where and which rule, and never what was there.
func ExampleInvalidError() {
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		log.Fatal(err)
	}
	err = contract.Validate(schemas.Event{
		Name:            schemas.TypeCustomerUpdated,
		DataContentType: "application/json",
		Data:            []byte(`{"customer_id":"42","contact":{"email":"erika at home","nickname":"Eri"}}`),
	})
	var broken *schemas.InvalidError
	if errors.As(err, &broken) {
		for _, v := range broken.Violations {
			fmt.Println(v.Pointer, v.Keyword)
		}
	}
	// Output:
	// /data/contact additionalProperties
	// /data/contact/email format
	// /data/contact/email_confirmed required
}

// A result goes out. Its ID follows from its cause and its name, so that a repeat is known as one.
func ExampleContract_NewResult() {
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		log.Fatal(err)
	}
	result, err := contract.NewResult(schemas.Result{
		Name:    schemas.TypeInvestmentStatusChanged,
		Subject: schemas.OrderSubject("1001"),
		Key:     "PAID",
		Time:    time.Date(2026, 1, 19, 8, 0, 7, 0, time.UTC),
		Cause:   schemas.Cause{Source: "/payments", ID: "8c1f"},
		Data: schemas.InvestmentStatusChanged{
			CustomerID: "42", OrderID: "1001", InvestmentID: "16fd2706", Status: "PAID", PreviousStatus: "ACCEPTED",
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	value, headers := result.Binary()
	for _, h := range headers {
		fmt.Printf("%s: %s\n", h.Key, h.Value)
	}
	fmt.Printf("%s\n", value)
	// Output:
	// ce_specversion: 1.0
	// ce_id: caad8485-8ff4-5d29-b5f0-7d059d9cefb4
	// ce_source: distributor-bridge
	// ce_type: distributor.investment.status_changed
	// ce_subject: order/1001
	// ce_time: 2026-01-19T08:00:07Z
	// ce_correlationid: 8c1f
	// ce_causationid: 8c1f
	// ce_causationsource: /payments
	// content-type: application/json
	// {"customer_id":"42","order_id":"1001","investment_id":"16fd2706","status":"PAID","previous_status":"ACCEPTED"}
}
