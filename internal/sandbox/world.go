package sandbox

import (
	"slices"
	"strings"
)

// world is what there is: everything that calls have made. IDs are lower-case UUIDs.
type world struct {
	campaigns   []Campaign
	documents   map[string]*document
	investors   map[string]*investor
	investments map[string]*investment
	wallets     map[string]*wallet
	addresses   map[string]*wallet // lower case → whose it is
	tasks       map[string]*task
	holdings    holdings
}

func newWorld(campaigns []Campaign) *world {
	return &world{
		campaigns:   campaigns,
		documents:   map[string]*document{},
		investors:   map[string]*investor{},
		investments: map[string]*investment{},
		wallets:     map[string]*wallet{},
		addresses:   map[string]*wallet{},
		tasks:       map[string]*task{},
		holdings:    holdings{},
	}
}

// product gives the product of a campaign.
func (w *world) product(campaignID string) (string, bool) {
	i := slices.IndexFunc(w.campaigns, func(c Campaign) bool { return same(c.CampaignID, campaignID) })
	if i < 0 {
		return "", false
	}
	return w.campaigns[i].ProductID, true
}

// hasProduct gives the product as it is spelt in the campaigns.
func (w *world) hasProduct(productID string) (string, bool) {
	i := slices.IndexFunc(w.campaigns, func(c Campaign) bool { return same(c.ProductID, productID) })
	if i < 0 {
		return "", false
	}
	return w.campaigns[i].ProductID, true
}

func same(a, b string) bool { return strings.EqualFold(a, b) }

// noSuch is how Django REST framework refuses a reference that leads nowhere.
func noSuch(field, id string) reply {
	return refused(field, "Invalid pk %q - object does not exist.", id)
}

// effect notes what the call did; mu is held.
func (s *Server) effect(c *call, objectID, investorID string) {
	c.applied = true
	target := c.vars["investor_id"] + c.vars["investment_id"] // at most one of them
	s.ledger.effect(Effect{
		Time: c.now, Operation: c.op.name, Key: c.key, Digest: c.digest,
		ObjectID: objectID, Target: target, InvestorID: investorID,
	})
}

// bare leaves of an answer what the guides show, if the configuration wants that.
func (s *Server) bare(body object) object {
	if !s.config.BareAnswers {
		return body
	}
	shown := object{}
	for _, name := range []string{"id", "person_id", "status"} {
		if v, ok := body[name]; ok {
			shown[name] = v
		}
	}
	return shown
}
