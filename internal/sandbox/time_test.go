package sandbox_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

func (a *api) kyc(investor string) string {
	a.t.Helper()
	return a.get("/investors/" + investor + "/").field("kyc_status")
}

// patient makes tokens and keys outlive every test.
func patient(c sandbox.Config) sandbox.Config {
	c.TokenLifetime, c.Idempotency.Retention = 10_000*time.Hour, 10_000*time.Hour
	return c
}

func TestKYCTakesItsTime(t *testing.T) {
	for _, verdict := range []string{sandbox.KYCSuccess, sandbox.KYCRejected, sandbox.KYCPending} {
		synctest.Test(t, func(t *testing.T) {
			a := local(t, patient(sandbox.Config{KYC: sandbox.KYC{Delay: time.Hour, Verdict: verdict}}))
			id := a.must(a.post("/investors/", a.key(), person()))
			time.Sleep(24 * time.Hour)
			if k := a.kyc(id); k != "PENDING" {
				t.Errorf("without identification: %s", k)
			}
			a.must(a.post("/investors/"+id+"/identifications/", a.key(), identification()))
			time.Sleep(time.Hour - time.Second)
			if k := a.kyc(id); k != "PENDING" {
				t.Errorf("before its time: %s", k)
			}
			if r := a.post("/investors/"+id+"/wallets/eth-managed/", a.key(), nil); r.status != 400 {
				t.Errorf("a wallet before its time got %d", r.status)
			}
			time.Sleep(time.Second)
			if k := a.kyc(id); k != verdict {
				t.Errorf("at its time: %s, want %s", k, verdict)
			}
		})
	}
}

func TestACompanyNeedsABenefitingPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, patient(sandbox.Config{}))
		firm := a.company()
		time.Sleep(1000 * time.Hour)
		if k := a.kyc(firm); k != "PENDING" {
			t.Errorf("without: %s", k)
		}
		if r := a.post("/investors/"+firm+"/benefiting-persons/", a.key(), []fields{benefitingPerson(), benefitingPerson()}); r.status != 201 ||
			len(r.json().([]any)) != 2 {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		if k := a.kyc(firm); k != "SUCCESS" {
			t.Errorf("with: %s", k)
		}
	})
}

// TestACorrectionStartsARefusedKYCAgain also says that an investment which the refusal ended stays ended, even if
// nobody looked in between.
func TestACorrectionStartsARefusedKYCAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, patient(sandbox.Config{KYC: sandbox.KYC{Delay: time.Hour, Verdict: sandbox.KYCRejected}}))
		id := a.investor()
		investment := a.investment(id, 1)
		time.Sleep(2 * time.Hour)
		if err := a.server.NextKYC(fields{"is_beneficiary": false}, sandbox.KYC{}); err != nil {
			t.Fatal(err)
		}
		if r := a.patch("/investors/"+id+"/", a.key(), fields{"is_beneficiary": false}); r.status != 200 {
			t.Fatalf("got %d %s", r.status, r.body)
		}
		if k := a.kyc(id); k != "PENDING" {
			t.Errorf("after the correction: %s", k)
		}
		if err := a.server.SetKYC(id, sandbox.KYC{}); err != nil {
			t.Fatal(err)
		}
		if k := a.kyc(id); k != "SUCCESS" {
			t.Errorf("in the end: %s", k)
		}
		if s := a.status("/investments/" + investment + "/"); s != "KYC_INSUFFICIENT" {
			t.Errorf("the investment is %s", s)
		}
		if s := a.status("/investments/" + a.investment(id, 1) + "/"); s != "PAID" {
			t.Errorf("a new investment is %s", s)
		}
	})
}

func TestAnInvestmentMovesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, patient(sandbox.Config{
			KYC: sandbox.KYC{Delay: 10 * time.Minute},
			StatusDelay: map[string]time.Duration{
				sandbox.StatusReview: time.Minute, sandbox.StatusWaiting: 2 * time.Minute,
				sandbox.StatusAccepted: 3 * time.Minute, sandbox.StatusPaid: 4 * time.Minute,
			},
		}))
		id := a.investor()
		watched, unwatched := a.investment(id, 1), a.investment(id, 1)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "KYC_PENDING"},
			{11*time.Minute - time.Second, "KYC_PENDING"},
			{time.Second, "REVIEW_PENDING"},
			{2*time.Minute - time.Second, "REVIEW_PENDING"},
			{time.Second, "WAITING_FOR_ACCEPTANCE"},
			{3*time.Minute - time.Second, "WAITING_FOR_ACCEPTANCE"},
			{time.Second, "ACCEPTED"},
			{4*time.Minute - time.Second, "ACCEPTED"},
			{time.Second, "PAID"},
			{1000 * time.Hour, "PAID"},
		} {
			time.Sleep(step.wait)
			if s := a.status("/investments/" + watched + "/"); s != step.want {
				t.Errorf("the status is %s, want %s", s, step.want)
			}
		}
		if s := a.status("/investments/" + unwatched + "/"); s != "PAID" {
			t.Errorf("what nobody looked at is %s", s)
		}
	})
}

func TestARefusedKYCEndsInvestments(t *testing.T) {
	a := start(t, sandbox.Config{KYC: sandbox.KYC{Verdict: sandbox.KYCRejected}})
	id := a.investor()
	if s := a.status("/investments/" + a.investment(id, 1) + "/"); s != "KYC_INSUFFICIENT" {
		t.Errorf("the investment is %s", s)
	}
}

func TestTasksTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, patient(sandbox.Config{
			Tasks: map[string]sandbox.TaskRule{
				"create_credit":     {Delay: time.Hour},
				"create_redemption": {Delay: time.Minute},
			},
			TaskSuccess: "success",
		}))
		investor := a.investor()
		wallet := a.wallet(investor)
		investment := a.investment(investor, 10)
		credit := a.post("/investments/"+investment+"/credits/", "c", nil)
		if s := credit.field("status"); s != "processing" {
			t.Errorf("the credit begins as %s", s)
		}
		time.Sleep(time.Hour - time.Second)
		if s := a.status("/investments/" + investment + "/"); s != "PAID" {
			t.Errorf("before its time: %s", s)
		}
		if r := a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 10)); r.status != 400 {
			t.Errorf("a redemption before there are units got %d", r.status)
		}
		time.Sleep(time.Second)
		if s := a.status("/investments/" + investment + "/"); s != "DELIVERED" {
			t.Errorf("at its time: %s", s)
		}
		if s := a.status("/investments/" + investment + "/credits/" + credit.field("id") + "/"); s != "success" {
			t.Errorf("the task is %s", s)
		}
		redemption := a.must(a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 10)))
		if r := a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 1)); r.status != 400 {
			t.Errorf("units that are being redeemed were redeemed again: %d", r.status)
		}
		if s := a.status("/redemptions/" + redemption + "/"); s != "processing" {
			t.Errorf("the redemption is %s", s)
		}
		time.Sleep(time.Minute)
		if s := a.status("/redemptions/" + redemption + "/"); s != "success" {
			t.Errorf("the redemption is %s", s)
		}
	})
}

// TestServeUnderVirtualTime is how the whole program is tested: real HTTP over net.Pipe, in a bubble.
func TestServeUnderVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sandbox.New(sandbox.Config{KYC: sandbox.KYC{Delay: 72 * time.Hour}, TokenLifetime: 100 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		pipe := newPipe()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, pipe) }() // ends with ctx
		transport := &http.Transport{DialContext: pipe.dial}
		a := clientOf(t, s, "http://sandbox", transport)

		id := a.investor()
		time.Sleep(72 * time.Hour)
		if k := a.kyc(id); k != "SUCCESS" {
			t.Errorf("KYC is %s", k)
		}
		s.Fault(sandbox.Fault{Kind: sandbox.Hang})
		gone := make(chan response, 1)
		go func() { gone <- a.get("/investors/" + id + "/") }() // ends with the server
		synctest.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if r := <-gone; r.err == nil {
			t.Errorf("a hanging call got %d", r.status)
		}
		transport.CloseIdleConnections()
	})
}

// pipeListener is a listener within the process.
type pipeListener struct {
	conns  chan net.Conn // never closed
	closed chan struct{} // by Close
}

func newPipe() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
