package sandbox

import (
	"maps"
	"net/http"
	"time"
)

// investor is a person or a company, with all that belongs to it.
type investor struct {
	id          string
	parts       object // what was posted, by part
	identified  bool
	persons     int // benefiting
	kyc         kyc
	wallets     []*wallet
	investments []*investment
	tasks       []*task // of its wallets, and transfers to them
}

func (i *investor) company() bool { return i.parts["legal_person"] != nil }

// investorParts is what decisions look at, in the bodies of POST and PATCH.
type investorParts struct {
	NaturalPerson *struct {
		IsSubjectToUSTax bool `json:"is_subject_to_us_tax"`
	} `json:"natural_person"`
	LegalPerson *struct {
		IsSubjectToUSTax bool   `json:"is_subject_to_us_tax"`
		IdentityProof    string `json:"company_identity_proof_id"`
		StructureProof   string `json:"company_structure_proof_id"`
	} `json:"legal_person"`
	TaxInformation *struct {
		NonAssessmentCertificate any `json:"non_assessment_certificate"`
	} `json:"tax_information"`
}

// refusal is what is wrong with the parts, beyond their schema, for the investor with this ID.
func (p *investorParts) refusal(w *world, investorID string) *reply {
	no := func(r reply) *reply { return &r }
	if n := p.NaturalPerson; n != nil && n.IsSubjectToUSTax {
		return no(refusedIn("natural_person", "is_subject_to_us_tax", "Persons subject to US tax are not accepted."))
	}
	if t := p.TaxInformation; t != nil {
		switch v := t.NonAssessmentCertificate.(type) {
		case nil, bool:
		case string:
			if w.foreign(v, investorID) {
				return no(refusedIn("tax_information", "non_assessment_certificate", "Object does not exist."))
			}
		default:
			return no(refusedIn("tax_information", "non_assessment_certificate", "Must be a valid boolean."))
		}
	}
	l := p.LegalPerson
	switch {
	case l == nil:
		return nil
	case l.IsSubjectToUSTax:
		return no(refusedIn("legal_person", "is_subject_to_us_tax", "Companies subject to US tax are not accepted."))
	case w.foreign(l.IdentityProof, investorID):
		return no(refusedIn("legal_person", "company_identity_proof_id", "Object does not exist."))
	case w.foreign(l.StructureProof, investorID):
		return no(refusedIn("legal_person", "company_structure_proof_id", "Object does not exist."))
	}
	return nil
}

func (p *investorParts) documents() (ids []string) {
	if p.LegalPerson != nil {
		ids = append(ids, p.LegalPerson.IdentityProof, p.LegalPerson.StructureProof)
	}
	if p.TaxInformation != nil {
		if id, ok := p.TaxInformation.NonAssessmentCertificate.(string); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// createInvestor [G1][G2].
func (s *Server) createInvestor(c *call) reply {
	var parts investorParts
	if r := c.decode(&parts); r != nil {
		return *r
	}
	i := &investor{id: newID(), parts: c.value.(object)}
	if r := parts.refusal(s.world, i.id); r != nil {
		return *r
	}
	i.kyc.rule = s.rules.kycOf(c, s.config.KYC)
	s.world.use(i.id, parts.documents()...)
	s.world.investors[i.id] = i
	s.effect(c, i.id, i.id)
	return created(s.bare(i.view(c.now)))
}

// getInvestor [D]: what was posted, with the KYC's state and the wallets [A].
func (s *Server) getInvestor(c *call) reply {
	i, r := s.investorOf(c)
	if r != nil {
		return *r
	}
	return found(i.view(c.now))
}

// updateInvestor replaces the parts that the body carries [D].
func (s *Server) updateInvestor(c *call) reply {
	i, r := s.investorOf(c)
	if r != nil {
		return *r
	}
	var parts investorParts
	if r := c.decode(&parts); r != nil {
		return *r
	}
	if parts.LegalPerson != nil && !i.company() {
		return refused("legal_person", "This investor is a natural person.")
	}
	if r := parts.refusal(s.world, i.id); r != nil {
		return *r
	}
	s.world.use(i.id, parts.documents()...)
	i.parts = maps.Clone(i.parts)
	maps.Copy(i.parts, c.value.(object))
	i.kyc.corrected(c.now)
	s.effect(c, i.id, i.id)
	return found(s.bare(i.view(c.now)))
}

// identification is what decisions look at.
type identification struct {
	ValidFrom string `json:"document_valid_from"`
	ValidTo   string `json:"document_valid_to"`
	Protocol  string `json:"legitimation_protocol_id"`
}

// createIdentification [G1][G2]. The document may have expired since it was verified [G2].
func (s *Server) createIdentification(c *call) reply {
	i, r := s.investorOf(c)
	if r != nil {
		return *r
	}
	var body identification
	if r := c.decode(&body); r != nil {
		return *r
	}
	if body.ValidTo < body.ValidFrom { // ISO dates compare as they read
		return refused("document_valid_to", "The document ends before it begins.")
	}
	if body.Protocol != "" && s.world.foreign(body.Protocol, i.id) {
		return noSuch("legitimation_protocol_id", body.Protocol)
	}
	s.world.use(i.id, body.Protocol)
	i.identified = true
	i.startKYC(c.now)
	i.kyc.corrected(c.now)
	id := newID()
	s.effect(c, id, i.id)
	return created(object{"id": id})
}

// createPersons adds a company's benefiting persons, a list answered by a list [G1].
func (s *Server) createPersons(c *call) reply {
	i, r := s.investorOf(c)
	if r != nil {
		return *r
	}
	if !i.company() {
		return detail(http.StatusBadRequest, "Only companies have benefiting persons.")
	}
	var answers []object
	for _, person := range c.value.([]any) {
		answer := object{"person_id": newID()}
		maps.Copy(answer, person.(object))
		answers = append(answers, s.bare(answer))
	}
	i.persons += len(answers)
	i.startKYC(c.now)
	s.effect(c, answers[0]["person_id"].(string), i.id) // one call, one effect: the first stands for all
	return created(answers)
}

// investorOf finds the investor that the path names, as it is now.
func (s *Server) investorOf(c *call) (*investor, *reply) {
	i := s.world.investors[c.vars["investor_id"]]
	if i == nil {
		r := notFound()
		return nil, &r
	}
	s.advance(i, c.now)
	return i, nil
}

func (i *investor) view(now time.Time) object {
	v := maps.Clone(i.parts)
	status, _ := i.kyc.state(now)
	v["id"], v["kyc_status"] = i.id, status
	wallets := []object{}
	for _, w := range i.wallets {
		wallets = append(wallets, object{"id": w.id, "address": w.address, "kind": w.kind})
	}
	v["wallets"] = wallets
	return v
}
