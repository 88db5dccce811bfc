package distributor_test

import (
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/distributor"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := distributor.Config{BaseURL: "https://demo.cashlink.de/api/external", ClientID: "x", ClientSecret: "GEHEIM"}
	if err := good.Validate(); err != nil {
		t.Errorf("good: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*distributor.Config)
		want   []string // beginnings of the lines, in order
	}{
		"empty":             {func(c *distributor.Config) { *c = distributor.Config{} }, []string{"base_url:", "client_id:", "client_secret, client_secret_file:"}},
		"both secrets":      {func(c *distributor.Config) { c.ClientSecretFile = "x" }, []string{"client_secret, client_secret_file:"}},
		"http":              {func(c *distributor.Config) { c.BaseURL = "http://127.0.0.1" }, []string{"base_url: http is only"}},
		"http elsewhere":    {func(c *distributor.Config) { c.BaseURL, c.AllowPlainHTTP = "http://demo.cashlink.de", true }, []string{"base_url: http is only"}},
		"http on localhost": {func(c *distributor.Config) { c.BaseURL, c.AllowPlainHTTP = "http://localhost:1/x", true }, nil},
		"http on ::1":       {func(c *distributor.Config) { c.BaseURL, c.AllowPlainHTTP = "http://[::1]:1/x", true }, nil},
		"user in the URL":   {func(c *distributor.Config) { c.BaseURL = "https://GEHEIM:x@demo.cashlink.de" }, []string{"base_url: not of"}},
		"query":             {func(c *distributor.Config) { c.BaseURL += "?GEHEIM" }, []string{"base_url: not of"}},
		"no host":           {func(c *distributor.Config) { c.BaseURL = "https:///x" }, []string{"base_url: not of"}},
		"no URL":            {func(c *distributor.Config) { c.BaseURL = "https://GEHEIM\n" }, []string{"base_url: not a URL"}},
		"no ASCII":          {func(c *distributor.Config) { c.BaseURL = "https://bücher.example" }, []string{"base_url: the host"}},
		"zone":              {func(c *distributor.Config) { c.BaseURL = "https://[fe80::1%25eth0]/x" }, []string{"base_url: the host"}},
		"only a port":       {func(c *distributor.Config) { c.BaseURL = "https://:443" }, []string{"base_url: not of"}},
		"scheme":            {func(c *distributor.Config) { c.BaseURL = "ftp://demo.cashlink.de" }, []string{"base_url: neither"}},
		"prefix":            {func(c *distributor.Config) { c.Prefix = "/v3" }, []string{"prefix:"}},
		"older prefix":      {func(c *distributor.Config) { c.Prefix = "/v2" }, nil},
		"user agent":        {func(c *distributor.Config) { c.UserAgent = "x\r\nX-Evil: 1" }, []string{"user_agent:"}},
		"scopes":            {func(c *distributor.Config) { c.Scopes = []string{"a b", ""} }, []string{"scopes:"}},
		"negative":          {func(c *distributor.Config) { c.Timeouts.Call, c.MaxInFlight = -time.Second, -1 }, []string{"timeouts.call:", "max_in_flight:"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			test.change(&cfg)
			err := cfg.Validate()
			if c, newErr := distributor.New(cfg); (newErr == nil) != (err == nil) {
				t.Errorf("New: %v", newErr)
			} else if c != nil {
				c.Close()
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
			if len(lines) != len(test.want) || strings.Contains(text, "GEHEIM") {
				t.Fatalf("%d problems, want %d: %s", len(lines), len(test.want), text)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %q, want %q", lines[i], want)
				}
			}
		})
	}
}
