package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"distributor-bridge/internal/sandbox"
)

// APICmd is "distributor-sandbox api": the Distributor API served on this machine, until SIGINT or SIGTERM.
type APICmd struct {
	Listen  string `default:"127.0.0.1:0" help:"Address on this machine to listen on: 127.0.0.1, ::1 or localhost; port 0 is a free one."`
	Exposed bool   `help:"Listen on any address that --listen names, for a container whose ports are published on loopback only: whoever reaches it may steer it."`
	JSON    bool   `name:"json" help:"Print one line of JSON: url, client_id, client_secret, campaign_id, product_id."`

	ClientID      string        `name:"client-id" placeholder:"ID" env:"SANDBOX_CLIENT_ID" help:"Client ID to accept; default: a new one."`
	ClientSecret  string        `placeholder:"SECRET" env:"SANDBOX_CLIENT_SECRET" help:"Client secret to accept; default: a new one."`
	CampaignID    string        `name:"campaign-id" placeholder:"UUID" help:"The campaign for sale; default: a new one."`
	ProductID     string        `name:"product-id" placeholder:"UUID" help:"The campaign's product; default: a new one."`
	TokenLifetime time.Duration `default:"1h" help:"How long an access token is valid."`
	HideExpiry    bool          `help:"Do not tell how long an access token is valid."`

	CacheErrors  bool          `help:"Repeats of a call that was refused, or got a 500, get the same answer again; else they are tried anew."`
	KeyMismatch  string        `default:"refuse" enum:"refuse,answer" help:"The same key with another body: refuse (422), or answer as the first time."`
	KeyRetention time.Duration `default:"24h" help:"How long an idempotency key is remembered."`

	KYCDelay    time.Duration            `name:"kyc-delay" help:"From identification to the KYC's verdict."`
	KYCVerdict  string                   `name:"kyc-verdict" default:"SUCCESS" enum:"SUCCESS,REJECTED,PENDING" help:"How KYC ends: SUCCESS, REJECTED, or PENDING, which is never."`
	StatusDelay map[string]time.Duration `placeholder:"STATUS=DURATION" help:"Time before an investment gets a status: REVIEW_PENDING, WAITING_FOR_ACCEPTANCE, ACCEPTED, PAID, or all. Repeatable."`
	TaskDelay   time.Duration            `help:"From a credit, redemption or transfer to its verdict."`
	TaskVerdict string                   `default:"succeeded" enum:"succeeded,failed,unknown,processing" help:"How credits, redemptions and transfers end: succeeded, failed, unknown, or processing, which is never."`
	TaskSuccess string                   `default:"succeeded" enum:"succeeded,success" help:"How the API spells success."`

	Latency            time.Duration `help:"Added to every call."`
	Rate               float64       `placeholder:"N" help:"Calls a second before 429; 0 is no limit."`
	Burst              int           `default:"1" help:"Calls at once before the rate counts."`
	webhookFlags       `embed:""`
	webhookClientFlags `embed:""`

	Bare  bool     `help:"Answers of POST hold no more than the public guides show."`
	Fault []string `sep:"none" placeholder:"JSON" help:"Something that goes wrong, as POST /sandbox/faults takes it. Repeatable. Example: {\"operation\":\"create_credit\",\"kind\":\"cut\",\"applied\":true,\"count\":1}"`
}

// Help is told by --help.
func (APICmd) Help() string {
	return `Serves the API under both prefixes on 127.0.0.1, until SIGINT or SIGTERM. With the defaults, a client that follows one of
the provider's two public guides to the letter succeeds. Otherwise it is strict: what the API would refuse is refused.

Not checked are the check digits of an IBAN, only its form: the sample values of the guides are not known. An IBAN
that is accepted here may be refused by the real API.`
}

// Run serves until ctx ends or a signal comes. It prints where, and with which credentials, once it listens.
func (c *APICmd) Run(ctx context.Context, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	address := c.Listen
	if !c.Exposed {
		var err error
		if address, err = loopback(c.Listen); err != nil {
			return err
		}
	}
	server, err := sandbox.New(c.config())
	if err != nil {
		return err
	}
	for _, text := range c.Fault {
		var f sandbox.Fault
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return fmt.Errorf("--fault: %w", err)
		}
		if err := f.Validate(); err != nil {
			return fmt.Errorf("--fault: %w", err)
		}
		server.Fault(f)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := c.tell(stdout, server, "http://"+ln.Addr().String()); err != nil {
		_ = ln.Close() // the error that counts is the other one
		return fmt.Errorf("print where the API is: %w", err)
	}
	return server.Serve(ctx, ln)
}

// loopback gives the address to listen on, which has to be one of this machine alone: the sandbox prints its credentials,
// and anybody who reaches it may steer it. No name is looked up, since who answers might say anything.
func loopback(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("--listen: %w", err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("--listen: %q is not a loopback address; the sandbox serves this machine only, as on 127.0.0.1:0", listen)
	}
	return net.JoinHostPort(host, port), nil
}

func (c *APICmd) config() sandbox.Config {
	rule := sandbox.TaskRule{Delay: c.TaskDelay, Verdict: c.TaskVerdict}
	return sandbox.Config{
		ClientID:      c.ClientID,
		ClientSecret:  c.ClientSecret,
		Campaigns:     []sandbox.Campaign{{CampaignID: c.CampaignID, ProductID: c.ProductID}},
		TokenLifetime: c.TokenLifetime,
		HideExpiry:    c.HideExpiry,
		Idempotency: sandbox.Idempotency{
			CacheErrors: c.CacheErrors, AnswerMismatch: c.KeyMismatch == "answer", Retention: c.KeyRetention,
		},
		KYC:         sandbox.KYC{Delay: c.KYCDelay, Verdict: c.KYCVerdict},
		StatusDelay: c.statusDelay(),
		Tasks: map[string]sandbox.TaskRule{
			"create_credit": rule, "create_redemption": rule, "create_transfer": rule,
		},
		TaskSuccess: c.TaskSuccess,
		Webhooks:    c.add(c.webhookFlags.config()),
		Latency:     c.Latency,
		Rate:        c.Rate,
		Burst:       c.Burst,
		BareAnswers: c.Bare,
	}
}

// statusDelay spreads "all" over the statuses that have no delay of their own.
func (c *APICmd) statusDelay() map[string]time.Duration {
	delays := maps.Clone(c.StatusDelay)
	every, ok := delays["all"]
	if !ok {
		return delays
	}
	delete(delays, "all")
	for _, status := range sandbox.DelayableStatuses() {
		if _, own := delays[status]; !own {
			delays[status] = every
		}
	}
	return delays
}

func (c *APICmd) tell(w io.Writer, server *sandbox.Server, origin string) error {
	id, secret := server.Credentials()
	campaign := server.Campaigns()[0]
	url := origin + sandbox.Base
	if c.JSON {
		return json.NewEncoder(w).Encode(struct {
			URL          string `json:"url"`
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
			CampaignID   string `json:"campaign_id"`
			ProductID    string `json:"product_id"`
		}{url, id, secret, campaign.CampaignID, campaign.ProductID})
	}
	lines := []string{
		"The Distributor API, as a sandbox. Nothing here is real; everything is forgotten when it stops (Ctrl-C).",
		"",
		"  base URL       " + url,
		"  token          POST " + url + "/oauth/token",
		"  resources      " + url + "/distributor/v2/  or  " + url + "/v2/",
		"  client ID      " + id,
		"  client secret  " + secret,
		"  scopes         " + strings.Join(slices.Sorted(slices.Values(sandbox.Scopes())), " "),
		"  campaign       " + campaign.CampaignID,
		"  product        " + campaign.ProductID,
		"",
		"  what it did    GET " + origin + "/sandbox/ledger  (also calls, stats, doubles, webhooks, openapi.yaml)",
		"  what fails     POST " + origin + `/sandbox/faults  {"operation": "create_credit", "kind": "cut", "applied": true}`,
		"",
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n"))
	return err
}
