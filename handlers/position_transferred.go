package handlers

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/schemas"
)

// positionTransferred sends units of the customer to another address: waits as a redemption does → transfer.
func (h *Handlers) positionTransferred(ctx context.Context, r *attempt.Run, e schemas.PositionTransferred) error {
	target := e.TargetAddress
	e.Wallet, e.TargetAddress = strings.ToLower(e.Wallet), strings.ToLower(e.TargetAddress)
	digest, err := digest(e)
	if err != nil {
		return err
	}
	m := movement{
		key: attempt.KeyTransfer(e.TransferID), idField: "transfer_id", step: stepTransfer,
		digest: digest, offering: e.Offering, wallet: e.Wallet,
	}
	return h.move(ctx, r, m, func(ctx context.Context, refs attempt.Refs) (distributor.Task, error) {
		return attempt.Do(ctx, r, stepTransfer, refs,
			func(refs attempt.Refs) distributor.Transfer {
				return distributor.Transfer{
					Product: refs[refProduct], SourceWallet: refs[refWallet], TargetAddress: target, Amount: e.Units,
				}
			},
			func(ctx context.Context, key uuid.UUID, b distributor.Transfer) (distributor.Task, error) {
				return h.api.CreateTransfer(ctx, distributor.Key(key), b)
			})
	})
}
