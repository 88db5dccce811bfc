package handlers

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/schemas"
)

// positionRedeemed gives units of the customer back: waits for investor, wallet and its turn → redemption.
func (h *Handlers) positionRedeemed(ctx context.Context, r *attempt.Run, e schemas.PositionRedeemed) error {
	e.Wallet = strings.ToLower(e.Wallet)
	digest, err := digest(e)
	if err != nil {
		return err
	}
	m := movement{
		key: attempt.KeyRedemption(e.RedemptionID), idField: "redemption_id", step: stepRedemption,
		digest: digest, offering: e.Offering, wallet: e.Wallet,
	}
	return h.move(ctx, r, m, func(ctx context.Context, refs attempt.Refs) (distributor.Task, error) {
		return attempt.Do(ctx, r, stepRedemption, refs,
			func(refs attempt.Refs) distributor.Redemption {
				return distributor.Redemption{
					InvestorID: refs[refInvestor], ProductID: refs[refProduct], WalletID: refs[refWallet], Units: e.Units,
				}
			},
			func(ctx context.Context, key uuid.UUID, b distributor.Redemption) (distributor.Task, error) {
				return h.api.CreateRedemption(ctx, distributor.Key(key), b)
			})
	})
}
