package sandbox_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

func (a *api) rule(operation string, rule sandbox.TaskRule) {
	a.t.Helper()
	if err := a.server.NextTask(operation, nil, 1, rule); err != nil {
		a.t.Fatal(err)
	}
}

// units is what all addresses hold together.
func (a *api) units() (sum int64) {
	for _, h := range a.server.Holdings() {
		sum += h.Units
	}
	return sum
}

func TestTasksEndAsTold(t *testing.T) {
	for _, test := range []struct {
		rule sandbox.TaskRule
		want string
		left int64 // of 10 units of which 4 are redeemed
	}{
		{sandbox.TaskRule{}, "succeeded", 6},
		{sandbox.TaskRule{Verdict: "failed"}, "failed", 10},
		{sandbox.TaskRule{Verdict: "unknown"}, "unknown", 10},
		{sandbox.TaskRule{Verdict: "unknown", Applied: true}, "unknown", 6},
		{sandbox.TaskRule{Verdict: "processing"}, "processing", 6},
	} {
		a := start(t, sandbox.Config{})
		investor, wallet := a.holder(10)
		a.rule("create_redemption", test.rule)
		task := a.must(a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 4)))
		if s := a.status("/redemptions/" + task + "/"); s != test.want {
			t.Errorf("%+v: the task is %s, want %s", test.rule, s, test.want)
		}
		if n := a.units(); n != test.left {
			t.Errorf("%+v: %d units are left, want %d", test.rule, n, test.left)
		}
	}
}

func TestATaskCanEndAtOnce(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor, wallet := a.holder(10)
	a.rule("create_redemption", sandbox.TaskRule{AtOnce: true})
	if s := a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 4)).field("status"); s != "succeeded" {
		t.Errorf("the call's own answer says %s", s)
	}
}

func TestAFailedCreditMayBeRepeated(t *testing.T) {
	for _, verdict := range []string{"failed", "unknown"} {
		a := start(t, sandbox.Config{})
		investor := a.investor()
		a.wallet(investor)
		investment := a.investment(investor, 10)
		a.rule("create_credit", sandbox.TaskRule{Verdict: verdict})
		a.must(a.post("/investments/"+investment+"/credits/", a.key(), nil))
		if s := a.status("/investments/" + investment + "/"); s != "PAID" {
			t.Errorf("after %s the investment is %s", verdict, s)
		}
		a.must(a.post("/investments/"+investment+"/credits/", a.key(), nil))
		if s := a.status("/investments/" + investment + "/"); s != "DELIVERED" || a.units() != 10 {
			t.Errorf("after the repeat the investment is %s, with %d units", s, a.units())
		}
		if d := a.server.Doubles(); len(d) != 1 || d[0][0].Operation != "create_credit" {
			t.Errorf("the audit finds %+v", d)
		}
	}
}

// TestAnUnknownTaskIsResolved says that a person's verdict, later, makes the world agree with it.
func TestAnUnknownTaskIsResolved(t *testing.T) {
	for _, test := range []struct {
		applied bool
		verdict string
		fails   bool
		left    int64
	}{
		{false, "succeeded", false, 6},
		{false, "failed", false, 10},
		{true, "succeeded", false, 6},
		{true, "failed", true, 6},
	} {
		a := start(t, sandbox.Config{})
		investor, wallet := a.holder(10)
		a.rule("create_redemption", sandbox.TaskRule{Verdict: "unknown", Applied: test.applied})
		task := a.must(a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 4)))
		err := a.server.SetTask(task, test.verdict)
		if (err != nil) != test.fails || a.units() != test.left {
			t.Errorf("%+v: %v, %d units are left", test, err, a.units())
		}
	}
}

func TestTransfersMoveUnits(t *testing.T) {
	a := start(t, sandbox.Config{})
	_, from := a.holder(10)
	to := a.investor()
	inside := a.must(a.post("/investors/"+to+"/wallets/eth-generic/", a.key(), fields{"address": address}))
	const outside = "0x1111111111111111111111111111111111111111"

	a.must(a.post("/transfers/", a.key(), a.transfer(from, strings.ToLower(address), 4)))
	a.must(a.post("/transfers/", a.key(), with(a.transfer(from, outside, 0), "amount", "3")))
	held := map[string]int64{}
	for _, h := range a.server.Holdings() {
		held[h.Address] = h.Units
	}
	if held[strings.ToLower(address)] != 4 || held[outside] != 3 || a.units() != 10 {
		t.Errorf("held: %v", held)
	}
	// Who has them can redeem them; who gets an address with units gets the units.
	a.must(a.post("/redemptions/", a.key(), a.redemption(to, inside, 4)))
	adopted := a.must(a.post("/investors/"+to+"/wallets/eth-generic/", a.key(), fields{"address": outside}))
	a.must(a.post("/redemptions/", a.key(), a.redemption(to, adopted, 3)))
	if n := a.units(); n != 3 {
		t.Errorf("%d units are left, want 3", n)
	}
}

// TestFirstInFirstOut says which lots a redemption takes, and that one which failed puts them back where they were.
func TestFirstInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, patient(sandbox.Config{}))
		investor := a.investor()
		wallet := a.wallet(investor)
		for _, units := range []int{5, 3, 2} {
			a.must(a.post("/investments/"+a.investment(investor, units)+"/credits/", a.key(), nil))
			time.Sleep(time.Hour)
		}
		lots := func() (units []int64) {
			for _, h := range a.server.Holdings() {
				for _, l := range h.Lots {
					units = append(units, l.Units)
				}
			}
			return units
		}
		for _, step := range []struct {
			redeem  int
			verdict string
			want    []int64
		}{
			{2, "succeeded", []int64{3, 3, 2}},
			{4, "failed", []int64{3, 3, 2}},
			{4, "succeeded", []int64{2, 2}},
		} {
			a.rule("create_redemption", sandbox.TaskRule{Verdict: step.verdict})
			a.must(a.post("/redemptions/", a.key(), a.redemption(investor, wallet, step.redeem)))
			if got := lots(); !slices.Equal(got, step.want) {
				t.Errorf("after redeeming %d, %s: lots %v, want %v", step.redeem, step.verdict, got, step.want)
			}
		}
	})
}

// TestUnitsArriveInTheirOrder says that lots lie in the order of their arrival, even when who sent some of them was
// looked at first.
func TestUnitsArriveInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, patient(sandbox.Config{}))
		_, from := a.holder(7)
		to := a.investor()
		a.must(a.post("/investors/"+to+"/wallets/eth-generic/", a.key(), fields{"address": address}))
		a.rule("create_credit", sandbox.TaskRule{Delay: time.Minute})
		a.must(a.post("/investments/"+a.investment(to, 1)+"/credits/", a.key(), nil))
		a.rule("create_transfer", sandbox.TaskRule{Delay: time.Hour})
		task := a.must(a.post("/transfers/", a.key(), a.transfer(from, address, 7)))
		time.Sleep(2 * time.Hour)
		a.status("/transfers/" + task + "/") // looks at the sender
		for _, h := range a.server.Holdings() {
			if len(h.Lots) != 2 || h.Lots[0].Units != 1 || h.Lots[1].Units != 7 {
				t.Errorf("lots: %+v", h.Lots)
			}
		}
	})
}
