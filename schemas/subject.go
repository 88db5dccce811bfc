package schemas

import "strings"

// Subjects within a customer, of which a wallet's and an order's go on after the slash.
const (
	SubjectCustomer  = "customer"
	SubjectPositions = "positions"
	subjectWallet    = "wallet/"
	subjectOrder     = "order/"
)

// WalletSubject gives the subject of a wallet. Addresses that differ in case alone are one wallet.
func WalletSubject(address string) string { return subjectWallet + strings.ToLower(address) }

// OrderSubject gives the subject of an order.
func OrderSubject(orderID string) string { return subjectOrder + orderID }

// Subject gives what an event is about, within its customer: customer, wallet/0x… in lower case, order/ID, or positions.
// It is the unit of order, so it is read out of data that Validate has accepted; upstream's own attribute is not
// trusted. It is "" for an unknown type, and for data without what the subject needs.
func (c *Contract) Subject(e Event) string {
	switch e.Name {
	case TypeCustomerVerified, TypeCustomerUpdated, TypeCustomerLinked:
		return SubjectCustomer
	case TypePositionRedeemed, TypePositionTransferred:
		return SubjectPositions
	case TypeCustomerWalletAdded:
		if address, _ := member(e.Data, "address"); isAddress(address) {
			return WalletSubject(address)
		}
	case TypeOrderPaid, TypeOrderCreditReleased:
		if id, _ := member(e.Data, "order_id"); isID(id) {
			return OrderSubject(id)
		}
	}
	return ""
}
