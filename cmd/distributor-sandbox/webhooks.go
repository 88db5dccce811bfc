package main

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/sandbox"
)

// webhookFlags say whom the API tells of changed statuses, and how unreliably.
type webhookFlags struct {
	WebhookURL        string `name:"webhook-url" placeholder:"URL" help:"Where each change of an investment's status is POSTed to, as http://127.0.0.1:8081/webhooks/investments. Default: nowhere."`
	WebhookToken      string `placeholder:"TOKEN" env:"SANDBOX_WEBHOOK_TOKEN" help:"Bearer token to send with it."`
	WebhookDuplicates int    `placeholder:"N" help:"How often each is sent again although it was taken."`
	WebhookShuffle    bool   `help:"Send them in any order, and up to a second late."`
}

func (f webhookFlags) config() sandbox.Webhooks {
	return sandbox.Webhooks{URL: f.WebhookURL, Token: f.WebhookToken, Duplicates: f.WebhookDuplicates, Shuffle: f.WebhookShuffle}
}

// webhookClientFlags are for a token that is fetched.
type webhookClientFlags struct {
	WebhookTokenURL     string `name:"webhook-token-url" placeholder:"URL" help:"Where to fetch a token with client credentials, instead of --webhook-token."`
	WebhookClientID     string `name:"webhook-client-id" placeholder:"ID" help:"The client ID for it."`
	WebhookClientSecret string `placeholder:"SECRET" env:"SANDBOX_WEBHOOK_CLIENT_SECRET" help:"The client secret for it."`
}

func (f webhookClientFlags) add(to sandbox.Webhooks) sandbox.Webhooks {
	to.TokenURL, to.ClientID, to.ClientSecret = f.WebhookTokenURL, f.WebhookClientID, f.WebhookClientSecret
	return to
}

// kept gives the flags with the token that is kept in dir, and the file that it is in; nothing without a URL. A token that was
// given is the one that is kept from now on.
func (f webhookFlags) kept(dir string) (with webhookFlags, file string, err error) {
	if f.WebhookURL == "" {
		return f, "", nil
	}
	file = filepath.Join(dir, "webhook-token")
	if f.WebhookToken != "" {
		return f, file, os.WriteFile(file, []byte(f.WebhookToken+"\n"), 0o600)
	}
	var token config.Secret
	token, err = secretIn(file)
	f.WebhookToken = string(token)
	return f, file, err
}

// takes lets a bridge take the webhooks, if the URL leads to this machine.
func (f webhookFlags) takes(cfg *bridge.Config, file string) {
	u, err := url.Parse(f.WebhookURL)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return
	}
	cfg.Webhooks.Listen, cfg.Webhooks.TokenFile = net.JoinHostPort(host, u.Port()), file
}
