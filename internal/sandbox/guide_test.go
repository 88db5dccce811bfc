package sandbox_test

import (
	"context"
	"maps"
	"net/http/httptest"
	"testing"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/internal/sandbox/guide"
)

// serve gives a sandbox with a configuration and what a client of it needs.
func serve(t *testing.T, c sandbox.Config) (*sandbox.Server, guide.Access) {
	t.Helper()
	s := create(t, c)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	id, secret := s.Credentials()
	campaign := s.Campaigns()[0]
	return s, guide.Access{
		URL: server.URL + sandbox.Base, ClientID: id, ClientSecret: secret,
		CampaignID: campaign.CampaignID, ProductID: campaign.ProductID,
	}
}

// TestGuides lets both guides' clients succeed, twice each, and holds the ledger to what a guide does.
func TestGuides(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		follow  func(context.Context, guide.Access) error
		effects map[string]int // of one run
	}{
		"quickstart": {guide.Quickstart, map[string]int{
			"create_document": 3, "create_investor": 1, "create_identification": 1, "create_benefiting_persons": 1,
			"create_managed_wallet": 1,
		}},
		"example": {guide.Example, map[string]int{
			"create_document": 2, "create_investor": 1, "create_identification": 1, "create_managed_wallet": 1,
			"create_investment": 1, "create_credit": 1, "create_redemption": 1,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, access := serve(t, sandbox.Config{})
			for range 2 {
				if err := test.follow(t.Context(), access); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]int{}
			for operation, n := range test.effects {
				want[operation] = 2 * n
			}
			if got := s.Stats().Effects; !maps.Equal(got, want) {
				t.Errorf("effects %v, want %v", got, want)
			}
		})
	}
}

// TestGuidesNotice says that the guides' clients take no answer for granted.
func TestGuidesNotice(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config sandbox.Config
		fault  sandbox.Fault
		follow func(context.Context, guide.Access) error
	}{
		"quickstart, no token":         {fault: sandbox.Fault{Operation: "token", Kind: sandbox.Status, Status: 500}, follow: guide.Quickstart},
		"quickstart, no id":            {fault: sandbox.Fault{Operation: "create_investor", Kind: sandbox.Broken}, follow: guide.Quickstart},
		"quickstart, no document":      {fault: sandbox.Fault{Operation: "create_document", Kind: sandbox.Broken}, follow: guide.Quickstart},
		"quickstart, no JSON":          {fault: sandbox.Fault{Operation: "create_managed_wallet", Kind: sandbox.Malformed}, follow: guide.Quickstart},
		"quickstart, no person_id":     {fault: sandbox.Fault{Operation: "create_benefiting_persons", Kind: sandbox.Broken}, follow: guide.Quickstart},
		"quickstart, KYC unread":       {fault: sandbox.Fault{Operation: "get_investor", Kind: sandbox.Broken}, follow: guide.Quickstart},
		"quickstart, KYC refused":      {config: sandbox.Config{KYC: sandbox.KYC{Verdict: sandbox.KYCRejected}}, follow: guide.Quickstart},
		"example, credit refused":      {fault: sandbox.Fault{Operation: "create_credit", Kind: sandbox.Status, Status: 400}, follow: guide.Example},
		"example, credit that failed":  {config: failing("create_credit"), follow: guide.Example},
		"example, redemption that did": {config: failing("create_redemption"), follow: guide.Example},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, access := serve(t, test.config)
			if test.fault.Kind != "" {
				s.Fault(test.fault)
			}
			if test.follow(t.Context(), access) == nil {
				t.Error("it did not notice")
			}
		})
	}
}

func failing(operation string) sandbox.Config {
	return sandbox.Config{Tasks: map[string]sandbox.TaskRule{operation: {Verdict: sandbox.TaskFailed}}}
}
