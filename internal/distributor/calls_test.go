package distributor_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"distributor-bridge/internal/distributor"
)

// TestBaseURL: with a path or without, with a slash at its end or without, the request line names the resource from the root on.
func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "/", "/api", "/api/"} {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			lines := make(chan string, 2) // the token is asked for by another way
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if strings.HasSuffix(r.URL.Path, "oauth/token") {
					_, _ = io.WriteString(w, `{"access_token":"t","token_type":"Bearer","expires_in":60}`)
					return
				}
				lines <- r.RequestURI
				_, _ = io.WriteString(w, `{"id":"`+someID+`","kyc_status":"PENDING"}`)
			}))
			t.Cleanup(s.Close)
			c := newClient(t, s.URL, func(cfg *distributor.Config) { cfg.BaseURL = s.URL + base })
			if _, err := c.Investor(t.Context(), someID); err != nil {
				t.Fatal(err)
			}
			if got, want := <-lines, strings.TrimSuffix(base, "/")+"/distributor/v2/investors/"+someID+"/"; got != want {
				t.Errorf("asked for %s, want %s", got, want)
			}
		})
	}
}

// TestCalls holds every call to its method, path, body and answer, as distributor-api.md has them.
func TestCalls(t *testing.T) {
	t.Parallel()
	const id, task = someID, otherID
	key := newKey()
	for _, test := range []struct {
		name   string
		call   func(context.Context, *distributor.Client) (any, error)
		method string
		path   string
		body   string // empty: none, and no content type
		answer string
		want   any
	}{
		{
			"create investor",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateInvestor(ctx, key, distributor.Investor{
					NaturalPerson:  &distributor.NaturalPerson{Salutation: "MR", Forename: "GEHEIM", IsPEP: new(false)},
					BankAccount:    &distributor.BankAccount{IBAN: "GEHEIM"},
					TaxInformation: &distributor.TaxInformation{TaxIdentificationNumber: "GEHEIM", IsSubjectToGermanTax: new(true)},
					Communication:  &distributor.Communication{Email: "GEHEIM"},
					IsBeneficiary:  new(true),
				})
			},
			"POST", "/investors/",
			`{"natural_person":{"salutation":"MR","forename":"GEHEIM","is_pep":false},"bank_account":{"iban":"GEHEIM"},` +
				`"tax_information":{"tax_identification_number":"GEHEIM","is_subject_to_german_tax":true},"communication":{"email":"GEHEIM"},"is_beneficiary":true}`,
			`{"id":"` + id + `","natural_person":{"forename":"GEHEIM"}}`,
			distributor.Created{ID: id},
		},
		{
			"get a person",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.Investor(ctx, id) },
			"GET", "/investors/" + id + "/", "",
			`{"id":"` + id + `","kyc_status":"SUCCESS","natural_person":{"forename":"GEHEIM"},"legal_person":null,` +
				`"wallets":[{"id":"` + task + `","address":"0xAb","kind":"eth-managed"}]}`,
			distributor.InvestorStatus{ID: id, KYCStatus: "SUCCESS", Wallets: []distributor.Wallet{{ID: task, Address: "0xAb", Kind: "eth-managed"}}},
		},
		{
			"get a company",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.Investor(ctx, id) },
			"GET", "/investors/" + id + "/", "",
			`{"id":"` + id + `","kyc_status":"PENDING","legal_person":{"company_name":"GEHEIM"}}`,
			distributor.InvestorStatus{ID: id, KYCStatus: "PENDING", Company: true},
		},
		{
			"patch investor",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return nil, c.PatchInvestor(ctx, key, id, distributor.Investor{Communication: &distributor.Communication{Email: "GEHEIM", EmailConfirmed: new(true)}})
			},
			"PATCH", "/investors/" + id + "/", `{"communication":{"email":"GEHEIM","email_confirmed":true}}`, `whatever`, nil,
		},
		{
			"create identification",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateIdentification(ctx, key, id, distributor.Identification{DocumentType: "IDCARD", LegitimationProtocolID: task})
			},
			"POST", "/investors/" + id + "/identifications/",
			`{"document_type":"IDCARD","legitimation_protocol_id":"` + task + `"}`, `{"id":"` + task + `"}`,
			distributor.Created{ID: task},
		},
		{
			"create benefiting persons",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateBenefitingPersons(ctx, key, id, []distributor.BenefitingPerson{{Forename: "A"}, {Forename: "B"}})
			},
			"POST", "/investors/" + id + "/benefiting-persons/", `[{"forename":"A"},{"forename":"B"}]`,
			`[{"person_id":"17","forename":"A"},{"person_id":"18","forename":"B"}]`,
			[]distributor.PersonID{{PersonID: "17"}, {PersonID: "18"}},
		},
		{
			"create managed wallet without a body",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateManagedWallet(ctx, key, id, nil)
			},
			"POST", "/investors/" + id + "/wallets/eth-managed/", "", `{"id":"` + task + `"}`,
			distributor.Wallet{ID: task, Kind: "eth-managed"},
		},
		{
			"create managed wallet that can receive",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateManagedWallet(ctx, key, id, new(true))
			},
			"POST", "/investors/" + id + "/wallets/eth-managed/", `{"receiving_enabled":true}`, `{"id":"` + task + `","address":"0xAb"}`,
			distributor.Wallet{ID: task, Address: "0xAb", Kind: "eth-managed"},
		},
		{
			"create generic wallet",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateGenericWallet(ctx, key, id, "0xCd", new(true))
			},
			"POST", "/investors/" + id + "/wallets/eth-generic/", `{"address":"0xCd","receiving_enabled":true}`, `{"id":"` + task + `"}`,
			distributor.Wallet{ID: task, Address: "0xCd", Kind: "eth-generic"},
		},
		{
			"create investment",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateInvestment(ctx, key, distributor.Investment{
					CampaignID: id, InvestorID: task, Units: 300, SignedAt: "2026-01-02T03:04:05Z", Wallet: id,
					SignedDocuments: []distributor.SignedDocument{{DocumentID: task, Category: "C", Subject: "S"}},
				})
			},
			"POST", "/investments/",
			`{"campaign_id":"` + id + `","investor_id":"` + task + `","units":300,"signed_at":"2026-01-02T03:04:05Z","wallet":"` + id +
				`","signed_documents":[{"document_id":"` + task + `","category":"C","subject":"S"}]}`,
			`{"id":"` + id + `","status":"REVIEW_PENDING"}`,
			distributor.InvestmentStatus{ID: id, Status: "REVIEW_PENDING"},
		},
		{
			"create investment, no status told",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateInvestment(ctx, key, distributor.Investment{Units: 1})
			},
			"POST", "/investments/", `{"campaign_id":"","investor_id":"","units":1}`, `{"id":"` + id + `"}`,
			distributor.InvestmentStatus{ID: id},
		},
		{
			"get investment of a status never seen",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.Investment(ctx, id) },
			"GET", "/investments/" + id + "/", "", `{"id":"` + id + `","status":"SOMETHING_NEW"}`,
			distributor.InvestmentStatus{ID: id, Status: "SOMETHING_NEW"},
		},
		{
			"create credit",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.CreateCredit(ctx, key, id) },
			"POST", "/investments/" + id + "/credits/", "", `{"id":"` + task + `","status":"processing"}`,
			distributor.Task{ID: task, Status: distributor.Processing},
		},
		{
			"get credit",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.Credit(ctx, id, task) },
			"GET", "/investments/" + id + "/credits/" + task + "/", "", `{"id":"` + task + `","status":"success"}`,
			distributor.Task{ID: task, Status: distributor.Succeeded},
		},
		{
			"create redemption",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateRedemption(ctx, key, distributor.Redemption{InvestorID: id, ProductID: "p", WalletID: "w", Units: 300})
			},
			"POST", "/redemptions/", `{"investor_id":"` + id + `","product_id":"p","wallet_id":"w","units":300}`, `{"id":"` + task + `","status":"SUCCEEDED"}`,
			distributor.Task{ID: task, Status: distributor.Succeeded},
		},
		{
			"get redemption",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.Redemption(ctx, task) },
			"GET", "/redemptions/" + task + "/", "", `{"id":"` + task + `","status":"failed"}`,
			distributor.Task{ID: task, Status: distributor.Failed},
		},
		{
			"create transfer",
			func(ctx context.Context, c *distributor.Client) (any, error) {
				return c.CreateTransfer(ctx, key, distributor.Transfer{Product: "p", SourceWallet: "w", TargetAddress: "0xEf", Amount: 5})
			},
			"POST", "/transfers/", `{"product":"p","source_wallet":"w","target_address":"0xEf","amount":5}`, `{"id":"` + task + `","status":"never_seen"}`,
			distributor.Task{ID: task, Status: distributor.Processing},
		},
		{
			"get transfer",
			func(ctx context.Context, c *distributor.Client) (any, error) { return c.Transfer(ctx, task) },
			"GET", "/transfers/" + task + "/", "", `{"id":"` + task + `","status":"unknown"}`,
			distributor.Task{ID: task, Status: distributor.Unknown},
		},
	} {
		for _, prefix := range []string{"/distributor/v2", "/v2"} {
			t.Run(test.name+strings.ReplaceAll(prefix, "/", "_"), func(t *testing.T) {
				t.Parallel()
				a := newAPI(t, says(http.StatusCreated, test.answer))
				a.prefix = "/api/external" + prefix
				c := a.client(func(cfg *distributor.Config) { cfg.Prefix = prefix })
				got, err := test.call(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, test.want) {
					t.Errorf("answer %+v, want %+v", got, test.want)
				}
				want := seen{method: test.method, path: test.path, body: test.body, authorization: "Bearer GEHEIM-token-1"}
				if test.method != "GET" {
					want.key = key.String()
				}
				if test.body != "" {
					want.contentType = "application/json"
				}
				if calls := a.seen(); len(calls) != 1 || calls[0] != want {
					t.Errorf("calls\n%+v, want\n%+v", calls, want)
				}
			})
		}
	}
}

func TestWalletManaged(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"eth-managed": true, "ETH_MANAGED": true, "eth-generic": false, "": false} {
		if got := (distributor.Wallet{Kind: kind}).Managed(); got != want {
			t.Errorf("kind %q: managed %v", kind, got)
		}
	}
}

func TestNothingIsSentWithoutKeyOrID(t *testing.T) {
	t.Parallel()
	a := newAPI(t, says(http.StatusCreated, `{}`))
	c := a.client()
	ctx := t.Context()
	_, noKey := c.CreateInvestor(ctx, distributor.Key{}, distributor.Investor{})
	_, noID := c.Investor(ctx, "")
	_, badID := c.Investment(ctx, "../../oauth/token?x=GEHEIM")
	_, urn := c.Redemption(ctx, "urn:uuid:"+someID)
	_, second := c.Credit(ctx, someID, "GEHEIM")
	for name, err := range map[string]error{"no key": noKey, "no ID": noID, "bad ID": badID, "urn": urn, "second ID": second} {
		t.Run(name, func(t *testing.T) {
			e := verdict(t, err)
			if e.Verdict != 1 || e.Class != "internal" || e.InDoubt {
				t.Errorf("%v", err)
			}
		})
	}
	if n := len(a.seen()) + a.granted(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestBodiesDoNotShowThemselves(t *testing.T) {
	t.Parallel()
	person := &distributor.NaturalPerson{Forename: "GEHEIM"}
	cfg := distributor.Config{ClientSecret: "GEHEIM"}
	for _, v := range []any{
		distributor.Investor{NaturalPerson: person}, person, *person,
		distributor.BenefitingPerson{Surname: "GEHEIM"}, []distributor.BenefitingPerson{{Surname: "GEHEIM"}},
		distributor.Identification{DocumentID: "GEHEIM"}, distributor.BankAccount{IBAN: "GEHEIM"},
		distributor.Document{Name: "GEHEIM"}, distributor.Investment{SignedAt: "GEHEIM"}, cfg, cfg.ClientSecret,
	} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(format, v); strings.Contains(s, "GEHEIM") {
				t.Errorf("%T as %s: %s", v, format, s)
			}
		}
	}
}

// TestRequestOnTheWire: the bytes of a request, whole, of each kind.
func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	s := newRawServer(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, whole(`{"id":"`+someID+`","status":"PAID"}`))
		return true
	})
	var mu sync.Mutex
	var sent strings.Builder
	c := s.client(t, func(cfg *distributor.Config) {
		cfg.UserAgent, cfg.BaseURL = "distributor-bridge/1.2", "http://"+s.Addr().String()+"/ä b/"
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return recorded{conn, &mu, &sent}, err
		}
	})
	if err := makeCredit(c); err != nil { // and the token, which is fetched by other means
		t.Fatal(err)
	}
	key := distributor.Key(uuid.MustParse(otherID))
	common := "Host: " + s.Addr().String() + "\r\nUser-Agent: distributor-bridge/1.2\r\nAccept: application/json\r\nAuthorization: Bearer x\r\n"
	const root = "/%C3%A4%20b/distributor/v2/"
	for name, test := range map[string]struct {
		call func() error
		want string
	}{
		"with a body": {func() error {
			_, err := c.CreateManagedWallet(t.Context(), key, someID, new(true))
			return err
		}, "POST " + root + "investors/" + someID + "/wallets/eth-managed/ HTTP/1.1\r\n" + common + "X-Idempotency-Key: " + otherID +
			"\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"receiving_enabled\":true}"},
		"without": {func() error {
			_, err := c.CreateManagedWallet(t.Context(), key, someID, nil)
			return err
		}, "POST " + root + "investors/" + someID + "/wallets/eth-managed/ HTTP/1.1\r\n" + common + "X-Idempotency-Key: " + otherID +
			"\r\nContent-Length: 0\r\n\r\n"},
		"without an effect": {func() error {
			_, err := c.Investment(t.Context(), someID)
			return err
		}, "GET " + root + "investments/" + someID + "/ HTTP/1.1\r\n" + common + "\r\n"},
	} {
		mu.Lock()
		sent.Reset()
		mu.Unlock()
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		mu.Lock()
		if got := sent.String(); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
		mu.Unlock()
	}
}

// recorded is a connection of which what is written is kept.
type recorded struct {
	net.Conn
	mu   *sync.Mutex
	sent *strings.Builder
}

func (r recorded) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.sent.Write(b)
	r.mu.Unlock()
	return r.Conn.Write(b)
}
