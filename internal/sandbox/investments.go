package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// statusOrder is the way of an investment [G2][D].
var statusOrder = []string{
	StatusKYCPending, StatusReview, StatusWaiting, StatusAccepted, StatusPaid, StatusDelivered,
}

// delayable are the statuses that an investment reaches by itself.
var delayable = statusOrder[1:5]

// DelayableStatuses are the statuses that can be keys of Config.StatusDelay, in their order.
func DelayableStatuses() []string { return slices.Clone(delayable) }

// investment is an investor's order.
type investment struct {
	id       string
	posted   object
	investor *investor
	product  string
	units    int64
	wallet   *wallet // nil: none was set
	status   string
	since    time.Time
	forced   bool    // its status was set by hand and stays
	news     *outbox // takes each change of the status; nil: nobody is told
}

// createInvestment [G2].
func (s *Server) createInvestment(c *call) reply {
	var body struct {
		CampaignID string `json:"campaign_id"`
		InvestorID string `json:"investor_id"`
		Units      int64  `json:"units"`
		Wallet     string `json:"wallet"`
		Documents  []struct {
			ID string `json:"document_id"`
		} `json:"signed_documents"`
	}
	if r := c.decode(&body); r != nil {
		return *r
	}
	product, ok := s.world.product(body.CampaignID)
	if !ok {
		return noSuch("campaign_id", body.CampaignID)
	}
	i := s.world.investors[body.InvestorID]
	if i == nil {
		return noSuch("investor_id", body.InvestorID)
	}
	s.advance(i, c.now)
	n := &investment{
		id: newID(), posted: c.value.(object), investor: i, product: product, units: body.Units,
		status: StatusKYCPending, since: c.now,
	}
	if body.Wallet != "" {
		if n.wallet = s.world.wallets[body.Wallet]; n.wallet == nil || n.wallet.investor != i {
			return noSuch("wallet", body.Wallet)
		}
	}
	problems, bad := make([]object, len(body.Documents)), false
	for at, d := range body.Documents {
		problems[at] = object{}
		if s.world.foreign(d.ID, i.id) {
			problems[at], bad = noSuch("document_id", d.ID).body.(object), true
		}
	}
	if bad {
		return reply{status: http.StatusBadRequest, body: object{"signed_documents": problems}}
	}
	for _, d := range body.Documents {
		s.world.use(i.id, d.ID)
	}
	if s.config.Webhooks.URL != "" {
		n.news = &s.outbox
	}
	i.investments = append(i.investments, n)
	s.world.investments[n.id] = n
	s.effect(c, n.id, i.id)
	n.advance(c.now, s.config.StatusDelay)
	return created(s.bare(n.view()))
}

// getInvestment [G2].
func (s *Server) getInvestment(c *call) reply {
	n, r := s.investmentOf(c)
	if r != nil {
		return *r
	}
	return found(n.view())
}

// investmentOf finds the investment that the path names, as it is now.
func (s *Server) investmentOf(c *call) (*investment, *reply) {
	n := s.world.investments[c.vars["investment_id"]]
	if n == nil {
		r := notFound()
		return nil, &r
	}
	s.advance(n.investor, c.now)
	return n, nil
}

func (n *investment) view() object {
	v := maps.Clone(n.posted)
	v["id"], v["status"], v["product_id"] = n.id, n.status, n.product
	v["wallet"] = nil
	if n.wallet != nil {
		v["wallet"] = n.wallet.id
	}
	return v
}

// target is the wallet that a credit delivers to.
func (n *investment) target() *wallet {
	if n.wallet != nil {
		return n.wallet
	}
	return n.investor.only()
}

// advance moves the status to where it is by now. Each step counts from the one before, whenever somebody looks.
func (n *investment) advance(now time.Time, delays map[string]time.Duration) {
	for !n.forced {
		switch n.status {
		case StatusKYCPending:
			state, since := n.investor.kyc.state(now)
			if state == KYCPending {
				return
			}
			if since.Before(n.since) {
				since = n.since
			}
			if state == KYCRejected {
				n.become(StatusKYCInsufficient, since)
				return
			}
			if !n.reach(StatusReview, since.Add(delays[StatusReview]), now) {
				return
			}
		case StatusReview:
			if !n.reach(StatusWaiting, n.since.Add(delays[StatusWaiting]), now) {
				return
			}
		case StatusWaiting:
			if !n.reach(StatusAccepted, n.since.Add(delays[StatusAccepted]), now) {
				return
			}
		case StatusAccepted:
			if !n.reach(StatusPaid, n.since.Add(delays[StatusPaid]), now) {
				return
			}
		default:
			return // paid waits for its credit; the others are final
		}
	}
}

func (n *investment) reach(status string, at, now time.Time) bool {
	if now.Before(at) {
		return false
	}
	n.become(status, at)
	return true
}

// deliver puts the units into the wallet: the end of a credit, by call or by hand, whichever is first.
func (w *world) deliver(n *investment, to *wallet, now time.Time) {
	if n.status == StatusDelivered {
		return
	}
	w.holdings.insert(at(to.address, n.product), Lot{n.units, now})
	n.become(StatusDelivered, now)
}
