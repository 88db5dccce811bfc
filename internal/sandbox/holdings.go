package sandbox

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// holdings are units by address (lower case) and product, as lots in the order of their arrival.
type holdings map[position][]Lot

type position struct{ address, product string }

// Lot is units that arrived together.
type Lot struct {
	Units int64     `json:"units"`
	Since time.Time `json:"since"`
}

func at(address, product string) position { return position{strings.ToLower(address), product} }

func (h holdings) units(p position) (sum int64) {
	for _, l := range h[p] {
		sum += l.Units
	}
	return sum
}

// insert puts lots where their time says: who sent units may have been looked at before who gets them, whose older lots
// then come later. What arrived at one moment is one lot, so one that was split becomes whole again.
func (h holdings) insert(p position, lots ...Lot) {
	all := append(slices.Clone(lots), h[p]...)
	slices.SortStableFunc(all, func(a, b Lot) int { return a.Since.Compare(b.Since) })
	h[p] = all[:1]
	for _, l := range all[1:] {
		if last := &h[p][len(h[p])-1]; last.Since.Equal(l.Since) {
			last.Units += l.Units
		} else {
			h[p] = append(h[p], l)
		}
	}
}

// take removes units, first in first out [D], and gives the lots that were taken; or it takes none, if there are too few.
func (h holdings) take(p position, units int64) ([]Lot, bool) {
	if h.units(p) < units {
		return nil, false
	}
	var taken []Lot
	for units > 0 {
		first := &h[p][0]
		n := min(first.Units, units)
		taken = append(taken, Lot{n, first.Since})
		units -= n
		if first.Units -= n; first.Units == 0 {
			h[p] = h[p][1:]
		}
	}
	return taken, true
}

// Holding is what an address holds of a product, whether it is an investor's or not.
type Holding struct {
	Address   string `json:"address"` // lower case
	ProductID string `json:"product_id"`
	Units     int64  `json:"units"`
	Lots      []Lot  `json:"lots"` // in the order in which they arrived, and leave
}

// Holdings gives who holds what by now, by address and product. Units that a redemption or transfer under way has taken
// are not in it.
func (s *Server) Holdings() []Holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, i := range s.world.investors {
		s.advance(i, now)
	}
	var list []Holding
	for p, lots := range s.world.holdings {
		if len(lots) > 0 {
			list = append(list, Holding{p.address, p.product, s.world.holdings.units(p), slices.Clone(lots)})
		}
	}
	slices.SortFunc(list, func(a, b Holding) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.ProductID, b.ProductID))
	})
	return list
}
