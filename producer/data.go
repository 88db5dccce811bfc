package producer

import (
	"encoding/json"
	"errors"

	"distributor-bridge/schemas"
)

// typed gives the data of a result as the Go type of its name, which the contract asks for: state keeps it as JSON. The
// error tells no value.
func typed(name string, data any) (any, error) {
	raw, ok := data.(json.RawMessage)
	if !ok {
		return data, nil
	}
	decode, ok := types[name]
	if !ok {
		return nil, errNoResult
	}
	return decode(raw)
}

var (
	errNoResult = errors.New("no result of that name")
	errData     = errors.New("its data does not decode")
)

// types decodes the data of each result type, by name.
var types = map[string]func(json.RawMessage) (any, error){
	schemas.TypeCustomerRegistered:      decode[schemas.CustomerRegistered],
	schemas.TypeCustomerUpdated:         decode[schemas.CustomerUpdatedResult],
	schemas.TypeCustomerKYCChanged:      decode[schemas.CustomerKYCChanged],
	schemas.TypeWalletCreated:           decode[schemas.WalletCreated],
	schemas.TypeInvestmentCreated:       decode[schemas.InvestmentCreated],
	schemas.TypeInvestmentStatusChanged: decode[schemas.InvestmentStatusChanged],
	schemas.TypeCreditStarted:           decode[schemas.CreditProgress],
	schemas.TypeCreditSucceeded:         decode[schemas.CreditProgress],
	schemas.TypeCreditFailed:            decode[schemas.CreditProgress],
	schemas.TypeRedemptionStarted:       decode[schemas.RedemptionProgress],
	schemas.TypeRedemptionSucceeded:     decode[schemas.RedemptionProgress],
	schemas.TypeRedemptionFailed:        decode[schemas.RedemptionProgress],
	schemas.TypeTransferStarted:         decode[schemas.TransferProgress],
	schemas.TypeTransferSucceeded:       decode[schemas.TransferProgress],
	schemas.TypeTransferFailed:          decode[schemas.TransferProgress],
	schemas.TypeEventWaiting:            decode[schemas.EventWaiting],
	schemas.TypeEventRejected:           decode[schemas.EventRejected],
	schemas.TypeEventUnresolved:         decode[schemas.EventUnresolved],
}

func decode[T any](raw json.RawMessage) (any, error) {
	var data T
	if json.Unmarshal(raw, &data) != nil {
		return nil, errData // the JSON error may quote a value
	}
	return data, nil
}
