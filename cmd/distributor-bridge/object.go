package main

import (
	"time"

	"distributor-bridge/internal/replay"
)

// objectLine is what is remembered of a thing at the provider, as JSON. One of its parts is there, or none if it has not come
// into being yet.
type objectLine struct {
	Key      string        `json:"key"`
	Customer *customerLine `json:"customer,omitempty"`
	Wallet   *walletLine   `json:"wallet,omitempty"`
	Order    *orderLine    `json:"order,omitempty"`
	Position *positionLine `json:"position,omitempty"`
}

type customerLine struct {
	InvestorID string               `json:"investor_id,omitempty"`
	Company    bool                 `json:"company"`
	Unfinished bool                 `json:"unfinished,omitempty"`
	KYC        string               `json:"kyc_status,omitempty"`
	KYCSince   time.Time            `json:"kyc_since,omitzero"`
	Wallets    []walletLine         `json:"wallets,omitempty"`
	Parts      map[string]time.Time `json:"parts,omitempty"`
}

type walletLine struct {
	ID      string `json:"wallet_id"`
	Address string `json:"address,omitempty"`
	Managed bool   `json:"managed"`
}

type orderLine struct {
	InvestmentID string    `json:"investment_id,omitempty"`
	WalletID     string    `json:"wallet_id,omitempty"`
	Status       string    `json:"status,omitempty"`
	Since        time.Time `json:"since,omitzero"`
	Credit       bool      `json:"credit_released"`
	CreditTask   string    `json:"credit_task_id,omitempty"`
	CreditStatus string    `json:"credit_status,omitempty"`
	GivenUp      bool      `json:"given_up,omitempty"`
}

type positionLine struct {
	TaskID  string    `json:"task_id,omitempty"`
	Status  string    `json:"status,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	GivenUp bool      `json:"given_up,omitempty"`
}

func objectLineOf(o replay.Object) objectLine {
	line := objectLine{Key: o.Key}
	if c := o.Customer; c != nil {
		line.Customer = &customerLine{
			InvestorID: c.InvestorID, Company: c.Company, Unfinished: c.Unfinished, KYC: c.KYC, KYCSince: c.KYCSince, Parts: c.Parts,
		}
		for _, w := range c.Wallets {
			line.Customer.Wallets = append(line.Customer.Wallets, walletLine(w))
		}
	}
	if w := o.Wallet; w != nil {
		wallet := walletLine(*w)
		line.Wallet = &wallet
	}
	if or := o.Order; or != nil {
		line.Order = &orderLine{or.InvestmentID, or.WalletID, or.Status, or.Since, or.Credit, or.CreditTask, or.CreditStatus, or.GivenUp}
	}
	if p := o.Position; p != nil {
		line.Position = &positionLine{p.TaskID, p.Status, p.Since, p.GivenUp}
	}
	return line
}
