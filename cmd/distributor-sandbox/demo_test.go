package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

func sampleEvents(t *testing.T, suffix string) []schemas.Event {
	t.Helper()
	samples, err := newKit(t, suffix).samples()
	if err != nil {
		t.Fatal(err)
	}
	events := make([]schemas.Event, len(samples))
	for i, s := range samples {
		events[i] = s.event
	}
	return events
}

// entry is a line of demo --json, as its help documents it.
type entry struct {
	Kind, Reason, Type, Step, Detail, Method, Key string
	At                                            time.Time
	EventID                                       string `json:"event_id"`
	Status                                        int
	Fields                                        []string
	OK                                            bool
	Doubled, Effects                              int
	Problems                                      []string
	Events                                        []struct {
		EventID string `json:"event_id"`
		Outcome string
	}
}

// demoJSON runs demo --json, which has to exit 0, and gives its lines.
func demoJSON(t *testing.T, stdout, stderr *bytes.Buffer) []entry {
	t.Helper()
	began := time.Now()
	err := run(t.Context(), []string{"demo", "--json", "--log=debug"}, nil, stdout, stderr)
	if code := exitCode(err, io.Discard); code != 0 {
		t.Fatalf("exit %d: %v\n%s", code, err, lastLine(stdout.String()))
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	var all []entry
	for text := range strings.Lines(stdout.String()) {
		var e entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if e.At.IsZero() {
			t.Errorf("no time in %s", text)
		}
		all = append(all, e)
	}
	return all
}

// The demo is the promise: every sample comes to its end, nothing twice, and exit 0.
func TestDemoJSON(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	all := demoJSON(t, &stdout, &stderr)
	events := sampleEvents(t, "")
	kinds := map[string]int{}
	for _, e := range all {
		kinds[e.Kind]++
	}
	if kinds["event"] != len(events) || kinds["dead_letter"] != 2 || kinds["summary"] != 1 {
		t.Errorf("lines: %v", kinds)
	}
	end := all[len(all)-1]
	if !end.OK || end.Doubled != 0 || len(end.Problems) != 0 || end.Effects < 20 || len(end.Events) != len(events) {
		t.Errorf("summary: %+v", end)
	}
	checkResults(t, all)
	checkDeadLetters(t, all)
	for _, e := range all {
		if e.Kind == "call" && (e.Method == http.MethodGet) != (e.Key == "" && e.Step == "") {
			t.Errorf("call: %+v", e)
		}
	}
	for _, secret := range personalValues(t, events) {
		if shows(stdout.String(), secret) || shows(stderr.String(), secret) {
			t.Errorf("personal data is shown: %q", secret)
		}
	}
	if stderr.Len() == 0 {
		t.Error("the bridge has logged nothing: personal data was looked for in vain")
	}
}

// The first result is there within five seconds of the start. It runs beside no other test, which would take the time.
func TestDemoIsSoonAtWork(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := contextAfter(t, 5*time.Second)
	defer cancel()
	ended := make(chan error, 1) // one send
	go func() {                  // ends with ctx
		ended <- run(ctx, []string{"demo", "--json"}, nil, w, io.Discard)
		_ = w.Close()
	}()
	found := false
	for out := bufio.NewScanner(r); out.Scan(); { // to its end: it must not wait for us
		if strings.HasPrefix(out.Text(), `{"kind":"result"`) {
			found = true
			cancel()
		}
	}
	if err := <-ended; !found {
		t.Errorf("no result within 5 s: %v", err)
	}
}

func checkResults(t *testing.T, all []entry) {
	t.Helper()
	for _, want := range [][3]string{
		{"customer-1001-verified", "wallet.created", "managed"},
		{"customer-1001-wallet", "wallet.created", "own"},
		{"customer-1001-moved", "customer.updated", ""},
		{"company-2001-verified", "customer.kyc_changed", "SUCCESS"},
		{"order-5001-paid", "investment.status_changed", "DELIVERED"},
		{"order-5002-released", "credit.succeeded", ""},
		{"order-5003-paid", "event.waiting", "investor_missing"},
		{"order-5003-paid", "credit.succeeded", ""},
		{"redemption-7001", "redemption.succeeded", ""},
		{"transfer-8001", "transfer.succeeded", ""},
		{"redemption-7002", "event.rejected", "refused"},
	} {
		if !slices.ContainsFunc(all, func(e entry) bool {
			return e.Kind == "result" && e.EventID == want[0] && e.Type == "distributor."+want[1] && e.Detail == want[2]
		}) {
			t.Errorf("no result %s %s for %s", want[1], want[2], want[0])
		}
	}
}

func checkDeadLetters(t *testing.T, all []entry) {
	t.Helper()
	for _, e := range all {
		switch {
		case e.Kind != "dead_letter":
		case e.EventID == "customer-4001-verified":
			if e.Reason != "invalid" || !slices.Equal(e.Fields, []string{"/data/bank_account/iban format"}) {
				t.Errorf("dead letter: %+v", e)
			}
		case e.EventID != "redemption-7002" || e.Reason != "refused" || e.Status != 400 || e.Step != "redemption" || e.Type == "":
			t.Errorf("dead letter: %+v", e)
		}
	}
}

func lastLine(text string) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return all[len(all)-1]
}

func TestDemoForPeople(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"demo"}, []string{"TERM=xterm"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, &stdout)
	}
	for text := range strings.Lines(stdout.String()) {
		if text = strings.TrimSuffix(text, "\n"); utf8.RuneCountInString(text) > 80 || strings.Contains(text, "\x1b") {
			t.Errorf("wider than 80 columns, or coloured where there is no terminal: %q", text)
		}
	}
	for _, want := range []string{
		`(?m)^ 8  order\.paid +order-5003 +waited, then done`, `(?m)^12  customer\.verified +customer-4001 +dead letter: invalid +0 +0$`,
		`none twice`, `All is as expected`, `Try next`, `Calls count every GET`, `results --dead`, `call +PATCH +investors/…/ +200`, `event +order\.paid +order-5001 +to payments`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout.String()) {
			t.Errorf("%s is missing in\n%s", want, &stdout)
		}
	}
	for _, secret := range personalValues(t, sampleEvents(t, "")) {
		if shows(stdout.String()+stderr.String(), secret) {
			t.Errorf("personal data is shown: %q", secret)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("on standard error: %s", &stderr)
	}
}

// rehearse plays the demo on a stage that spoil has been at, and gives what it says.
func rehearse(t *testing.T, spoil func(*stage)) (output string, err error) {
	t.Helper()
	s, err := openStage(t.Context(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var out bytes.Buffer
	d, err := newDemo(s, &people{out: &out, began: time.Now()}, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	spoil(s)
	err = d.finish(d.play(t.Context()), time.Now())
	return out.String(), err
}

// The demo is a check: it fails if the world is not as it should be.
func TestDemoFailsIfNotAsExpected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*stage)
		says  string
	}{
		"a transfer is refused": {
			func(s *stage) {
				s.server.Fault(sandbox.Fault{Operation: "create_transfer", Kind: sandbox.Status, Status: 400})
			},
			"transfer-8001: event.rejected was not expected",
		},
		"a credit never ends": {
			func(s *stage) {
				_ = s.server.NextTask("create_credit", nil, 1, sandbox.TaskRule{Verdict: sandbox.TaskProcessing})
			},
			"after 3s there is still no credit.succeeded",
		},
		"somebody else uploads a document": {
			func(s *stage) { upload(t, s) }, "the ledger has a create_document that no sample asked for",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := rehearse(t, c.spoil)
			if !strings.Contains(out, c.says) {
				t.Errorf("it does not say %q:\n%s", c.says, out)
			}
			if err == nil || strings.Contains(out, "All is as expected") {
				t.Errorf("it passes: %v", err)
			}
		})
	}
}

// upload makes an effect at the API that is of no event.
func upload(t *testing.T, s *stage) {
	t.Helper()
	id, secret := s.server.Credentials()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	res, err := http.PostForm(s.api+sandbox.Base+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"documents:write"}, "client_id": {id}, "client_secret": {secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "stray.pdf")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(file, "%PDF-1.7") // into a buffer
	_ = form.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.api+sandbox.Base+"/v2/documents/", &body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token.AccessToken, "X-Idempotency-Key": "stray", "Content-Type": form.FormDataContentType(),
	} {
		req.Header.Set(name, value)
	}
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("upload: %s", res.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// Every call of the API is made in the demo, but for those that take over what exists.
func TestDemoMakesEveryCall(t *testing.T) {
	t.Parallel()
	made := map[string]bool{}
	out, err := rehearse(t, func(s *stage) {
		t.Cleanup(func() {
			for op, n := range s.server.Stats().Calls {
				made[op] = n > 0
			}
			for _, op := range []string{
				"token", "create_document", "create_investor", "get_investor", "update_investor", "create_identification",
				"create_benefiting_persons", "create_managed_wallet", "create_generic_wallet", "create_investment",
				"get_investment", "create_credit", "get_credit", "create_redemption", "get_redemption", "create_transfer",
				"get_transfer",
			} {
				if !made[op] {
					t.Errorf("%s was never called; made: %v", op, slices.Sorted(maps.Keys(made)))
				}
			}
		})
	})
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := contextAfter(t, 300*time.Millisecond)
	defer cancel()
	err := run(ctx, []string{"demo"}, nil, io.Discard, io.Discard)
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("ended with %v", err)
	}
}
