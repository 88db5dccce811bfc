package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// chaosAPICmd is the API's process: the sandbox, whole and strict, with a ledger of every call.
type chaosAPICmd struct {
	Latency    time.Duration
	SecretFile string

	Client, Campaign, Product string
}

// callLog is how many calls the API remembers. An audit of fewer than there were would miss some, and refuses.
const callLog = 4 << 20

// Run serves until the parent ends it.
func (c *chaosAPICmd) Run(ctx context.Context, t terminal) error {
	ctx, cancel := obey(ctx, os.Stdin, func(string) {})
	defer cancel()
	secret, err := config.ReadSecret(c.SecretFile)
	if err != nil {
		return err
	}
	server, err := sandbox.New(sandbox.Config{
		ClientID: c.Client, ClientSecret: string(secret), Latency: c.Latency, CallLog: callLog,
		Campaigns: []sandbox.Campaign{{CampaignID: c.Campaign, ProductID: c.Product}},
	})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := say(t.stdout, hello{Addrs: []string{ln.Addr().String()}}); err != nil {
		return err
	}
	return server.Serve(ctx, ln)
}

// chaosAPI is the API as a trial sees it.
type chaosAPI struct {
	origin, base string
	process      *child
}

// startChaosAPI starts an API that knows the client of a bridge, and sells what that offers.
func startChaosAPI(ctx context.Context, t terminal, latency time.Duration, secretFile string, cfg bridge.Config) (*chaosAPI, error) {
	sells := cfg.Offerings[offeringOf(cfg)]
	process, hello, err := startChild(ctx, t, "chaos-api", "--latency", latency.String(), "--secret-file", secretFile,
		"--client", cfg.API.ClientID, "--campaign", sells.Campaign, "--product", sells.Product)
	if err != nil {
		return nil, err
	}
	origin := "http://" + hello.Addrs[0]
	return &chaosAPI{origin: origin, base: origin + sandbox.Base, process: process}, nil
}

// ask gives what the sandbox tells at a path.
func (a *chaosAPI) ask(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.origin+path, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("ask the API: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the API: status %d", res.StatusCode)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// register makes investors with a managed wallet at the API, as if by hand: upstream links its customers to them.
func (a *chaosAPI) register(ctx context.Context, t terminal, n int, as bridge.API) ([]schemas.CustomerLinked, error) {
	const atOnce = 16
	client, err := distributor.New(distributor.Config{
		BaseURL: a.base, AllowPlainHTTP: true, ClientID: as.ClientID, ClientSecretFile: as.ClientSecretFile,
		Scopes: sandbox.Scopes(), MaxInFlight: atOnce,
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bar := newCount(t, "investors", n)
	defer bar.end()
	linked := make([]schemas.CustomerLinked, n)
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(atOnce)
	var done atomic.Int64
	for i := range linked {
		calls.Go(func() (err error) {
			linked[i], err = registerOne(ctx, client, i)
			bar.set(int(done.Add(1)))
			return err
		})
	}
	return linked, calls.Wait()
}

func registerOne(ctx context.Context, client *distributor.Client, i int) (schemas.CustomerLinked, error) {
	p := (&kit{}).someone(i)
	key := func() distributor.Key { return distributor.Key(uuid.New()) }
	created, err := client.CreateInvestor(ctx, key(), investorOf(p))
	if err != nil {
		return schemas.CustomerLinked{}, fmt.Errorf("create an investor: %w", err)
	}
	if _, err := client.CreateIdentification(ctx, key(), created.ID, identificationOf(p)); err != nil {
		return schemas.CustomerLinked{}, fmt.Errorf("identify an investor: %w", err)
	}
	w, err := client.CreateManagedWallet(ctx, key(), created.ID, nil)
	if err != nil {
		return schemas.CustomerLinked{}, fmt.Errorf("create a wallet: %w", err)
	}
	return schemas.CustomerLinked{
		CustomerID: fmt.Sprintf("chaos-%d", i), InvestorID: created.ID,
		Wallets: []schemas.LinkedWallet{{ID: w.ID, Address: w.Address, Managed: true}},
	}, nil
}

func investorOf(p person) distributor.Investor {
	n, b, t := p.natural(), p.bank(), p.tax()
	return distributor.Investor{
		NaturalPerson: &distributor.NaturalPerson{
			Salutation: n.Salutation, Forename: n.Forename, Surname: n.Surname, BirthDate: n.BirthDate, BirthPlace: n.BirthPlace,
			Citizenship: n.Citizenship, Street: n.Street, City: n.City, Zip: n.Zip, Country: n.Country, Phone: n.Phone,
			IsPEP: n.IsPEP, IsSubjectToUSTax: n.IsSubjectToUSTax,
		},
		BankAccount: &distributor.BankAccount{
			AccountHolder: b.AccountHolder, IBAN: b.IBAN, BIC: b.BIC, Bank: b.Bank, Country: b.Country, Currency: b.Currency,
		},
		TaxInformation: &distributor.TaxInformation{
			TaxIdentificationNumber: t.TaxIdentificationNumber, NonAssessmentCertificate: t.NonAssessmentCertificate,
			IsSubjectToGermanTax: new(t.IsSubjectToGermanTax),
		},
		Communication: &distributor.Communication{Email: p.email(), EmailConfirmed: new(true)},
		IsBeneficiary: new(true),
	}
}

func identificationOf(p person) distributor.Identification {
	d := p.identification()
	return distributor.Identification{
		DocumentType: d.DocumentType, DocumentID: d.DocumentID, DocumentIssuer: d.DocumentIssuer,
		DocumentValidFrom: d.DocumentValidFrom, DocumentValidTo: d.DocumentValidTo, IdentityProvider: d.IdentityProvider,
		LegitimationProcessID: d.LegitimationProcessID, VerifiedAt: d.VerifiedAt,
	}
}
