package distributor

import "context"

// TaskStatus is the status of a credit, a redemption or a transfer, normalised.
type TaskStatus string

// The statuses of a task [D]. A status that this project has never seen counts as processing, so that it is asked for
// again and never taken for an end.
const (
	Processing TaskStatus = "processing"
	Succeeded  TaskStatus = "succeeded" // "success" in one page of the documentation
	Failed     TaskStatus = "failed"
	Unknown    TaskStatus = "unknown" // the provider does not know whether it happened: never repeat it
)

// Task is what the provider works on after it took a credit, a redemption or a transfer.
type Task struct {
	ID     string     `json:"id"`
	Status TaskStatus `json:"status"`
}

// Redemption is the body that takes units back from a wallet, first in first out [G2][D].
type Redemption struct {
	InvestorID string `json:"investor_id"`
	ProductID  string `json:"product_id"`
	WalletID   string `json:"wallet_id"`
	Units      int64  `json:"units"`
}

// Transfer is the body that moves units from a wallet to an address [D].
type Transfer struct {
	Product       string `json:"product"`       // a product's ID
	SourceWallet  string `json:"source_wallet"` // a wallet's ID
	TargetAddress string `json:"target_address"`
	Amount        int64  `json:"amount"` // units [A]
}

// CreateCredit has an investment's securities delivered: POST investments/{id}/credits/, without a body [G2].
func (c *Client) CreateCredit(ctx context.Context, key Key, investmentID string) (Task, error) {
	return c.task(ctx, request{op: opCreateCredit, ids: ids{investmentID}, key: key})
}

// Credit gives the task of a credit: GET investments/{id}/credits/{task}/ [A].
func (c *Client) Credit(ctx context.Context, investmentID, taskID string) (Task, error) {
	return c.task(ctx, request{op: opCredit, ids: ids{investmentID, taskID}})
}

// CreateRedemption asks for a redemption: POST redemptions/ [G2].
func (c *Client) CreateRedemption(ctx context.Context, key Key, body Redemption) (Task, error) {
	return c.task(ctx, request{op: opCreateRedemption, key: key, json: body})
}

// Redemption gives the task of a redemption: GET redemptions/{id}/ [A].
func (c *Client) Redemption(ctx context.Context, taskID string) (Task, error) {
	return c.task(ctx, request{op: opRedemption, ids: ids{taskID}})
}

// CreateTransfer asks for a transfer: POST transfers/ [D].
func (c *Client) CreateTransfer(ctx context.Context, key Key, body Transfer) (Task, error) {
	return c.task(ctx, request{op: opCreateTransfer, key: key, json: body})
}

// Transfer gives the task of a transfer: GET transfers/{id}/ [A].
func (c *Client) Transfer(ctx context.Context, taskID string) (Task, error) {
	return c.task(ctx, request{op: opTransfer, ids: ids{taskID}})
}

func (c *Client) task(ctx context.Context, r request) (Task, error) {
	var a Task
	err := c.do(ctx, r, &a)
	return a, err
}
