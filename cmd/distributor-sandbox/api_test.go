package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"distributor-bridge/internal/sandbox/guide"
)

// parseAPI gives what kong makes of the arguments, ready to run with ctx and w.
func parseAPI(ctx context.Context, t *testing.T, w io.Writer, args ...string) *kong.Context {
	t.Helper()
	var cli struct {
		API APICmd `cmd:"" name:"api"`
	}
	parser, err := kong.New(&cli, kong.Exit(func(int) { t.Error("the parser wants to exit") }))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(append([]string{"api"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.BindTo(w, (*io.Writer)(nil))
	return parsed
}

// runAPI runs the command and gives its output, line by line, and what stops it.
func runAPI(t *testing.T, args ...string) (*bufio.Scanner, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	parsed := parseAPI(ctx, t, w, args...)
	ended := make(chan error, 1) // one send, whether or not anybody waits
	go func() {                  // ends with ctx
		defer w.Close()
		ended <- parsed.Run()
	}()
	return bufio.NewScanner(r), func() error {
		cancel()
		_ = r.Close()
		return <-ended
	}
}

func TestAPIPrintsOneLineOfJSON(t *testing.T) {
	out, stop := runAPI(t, "--json", "--client-id", "me", "--task-verdict", "failed", "--status-delay", "all=1s")
	if !out.Scan() {
		t.Fatalf("no line: %v, %v", out.Err(), stop())
	}
	var where struct {
		URL          string `json:"url"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		CampaignID   string `json:"campaign_id"`
		ProductID    string `json:"product_id"`
	}
	if err := json.Unmarshal(out.Bytes(), &where); err != nil {
		t.Fatal(err)
	}
	if where.ClientID != "me" || len(where.CampaignID) != 36 || len(where.ProductID) != 36 {
		t.Fatalf("printed %+v", where)
	}
	if !strings.HasPrefix(where.URL, "http://127.0.0.1:") || !strings.HasSuffix(where.URL, "/api/external") {
		t.Fatalf("url is %q", where.URL)
	}
	resp, err := http.PostForm(where.URL+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"investors:read"},
		"client_id": {where.ClientID}, "client_secret": {where.ClientSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("token: %d", resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// TestGuidesSucceedAgainstTheProgram lets the clients of both public guides succeed, with nothing but what the program
// prints, as the program runs by default.
func TestGuidesSucceedAgainstTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1) // one send, whether or not anybody waits
	go func() {                  // ends with ctx
		defer w.Close()
		ended <- run(ctx, []string{"api", "--json", "--listen", "127.0.0.1:0"}, nil, w, io.Discard)
	}()
	out := bufio.NewScanner(r)
	if !out.Scan() {
		t.Fatalf("no line: %v, %v", out.Err(), <-ended)
	}
	line := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(line))
	if want := []string{"campaign_id", "client_id", "client_secret", "product_id", "url"}; !slices.Equal(names, want) {
		t.Errorf("the line has %v, want %v", names, want)
	}
	access := guide.Access{
		URL: line["url"], ClientID: line["client_id"], ClientSecret: line["client_secret"],
		CampaignID: line["campaign_id"], ProductID: line["product_id"],
	}
	if err := guide.Quickstart(ctx, access); err != nil {
		t.Errorf("Quickstart guide: %v", err)
	}
	if err := guide.Example(ctx, access); err != nil {
		t.Errorf("example guide: %v", err)
	}
	cancel()
	if out.Scan() {
		t.Errorf("a second line: %q", out.Text())
	}
	if err := <-ended; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestAPIServesThisMachineOnly(t *testing.T) {
	for _, address := range []string{
		":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "10.0.0.1:8080", "[2001:db8::1]:0", "example.com:0", "127.0.0.1.example.com:0",
	} {
		t.Run(address, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // only if it serves after all
			defer cancel()
			var out strings.Builder
			err := run(ctx, []string{"api", "--listen", address}, nil, &out, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "is not a loopback address") || !strings.Contains(err.Error(), address) {
				t.Errorf("got %v", err)
			}
			if out.Len() > 0 {
				t.Errorf("it printed %q", out.String())
			}
		})
	}
	for _, address := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0"} {
		t.Run(address, func(t *testing.T) {
			out, stop := runAPI(t, "--json", "--listen", address)
			if !out.Scan() || !strings.Contains(out.Text(), `"url":"http://127.0.0.`) {
				t.Errorf("printed %q", out.Text())
			}
			if err := stop(); err != nil {
				t.Errorf("stopped with %v", err)
			}
		})
	}
}

func TestAPIHelpSaysWhatIsNotChecked(t *testing.T) {
	var out strings.Builder
	_ = run(t.Context(), []string{"api", "--help"}, nil, &out, io.Discard) // an exit with code 0
	for _, want := range []string{"check digits of an IBAN", "127.0.0.1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestAPIPrintsForPeople(t *testing.T) {
	out, stop := runAPI(t, "--client-secret", "hush", "--fault", `{"kind": "status", "status": 500, "operation": "token"}`)
	var text strings.Builder
	for out.Scan() {
		text.WriteString(out.Text() + "\n")
		if strings.Contains(out.Text(), "what fails") {
			break
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"base URL", "/api/external/distributor/v2/", "hush", "campaign", "product", "ledger"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &text)
		}
	}
}

func TestAPIRefusesWhatItCannotDo(t *testing.T) {
	for name, args := range map[string][]string{
		"fault that is no JSON":     {"--fault", "cut"},
		"fault of no kind":          {"--fault", `{"kind": "sleepy"}`},
		"fault with unknown fields": {"--fault", `{"kind": "cut", "when": "now"}`},
		"campaign that is no UUID":  {"--campaign-id", "bonds"},
		"delay before no status":    {"--status-delay", "DELIVERED=1s"},
		"address that is none":      {"--listen", "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // only if it serves after all
			defer cancel()
			if parseAPI(ctx, t, io.Discard, args...).Run() == nil {
				t.Error("it served")
			}
		})
	}
}

// In a container the API is to be reached from outside of it, and asked from within by the program itself.
func TestAPIExposedForAContainer(t *testing.T) {
	out, stop := runAPI(t, "--json", "--listen", "0.0.0.0:0", "--exposed")
	var where struct{ URL string }
	if !out.Scan() {
		t.Fatalf("no line: %v, %v", out.Err(), stop())
	}
	if err := json.Unmarshal(out.Bytes(), &where); err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(where.URL)
	if err != nil || !strings.HasPrefix(at.Host, "[::]:") && !strings.HasPrefix(at.Host, "0.0.0.0:") {
		t.Fatalf("it listens at %q, %v", where.URL, err)
	}
	ask := func(path string) error {
		return run(t.Context(), []string{"health", "--url", "http://127.0.0.1:" + at.Port() + path}, nil, io.Discard, io.Discard)
	}
	if err := ask("/sandbox/stats"); err != nil {
		t.Errorf("health: %v", err)
	}
	if err := ask("/sandbox/nothing"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("health at a wrong path: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}
