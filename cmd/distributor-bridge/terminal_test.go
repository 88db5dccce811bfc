package main

import (
	"strings"
	"testing"

	"distributor-bridge/internal/bridge"
)

// Events' lines are short and in columns, others are as they were but for times; nothing is left of what programs need.
func TestReadableLines(t *testing.T) {
	t.Parallel()
	const who = `"stage":"event","event_id":"order-1","event_source":"/payments","event_type":"order.paid","customer":"c-1","offset":7,` +
		`"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331",`
	for _, c := range []struct{ json, want string }{
		{`{"level":"info",` + who + `"outcome":"done","took_ms":14.357675,"message":"event"}`,
			"INF done     order.paid            order-1, 14ms customer=c-1"},
		{`{"level":"warn",` + who + `"outcome":"rejected","took_ms":2.1,"reason":"refused","class":"client","step":"investment",` +
			`"status":400,"fields":["units"],"cause":"create investment","tries":2,"message":"event"}`,
			`WRN rejected order.paid            order-1: refused, 2ms cause="create investment" class=client customer=c-1 ` +
				`fields=["units"] status=400 step=investment tries=2`},
		{`{"level":"info",` + who + `"outcome":"waiting","took_ms":1834.2,"follow_up":"status","reason":"status_pending","tries":0,` +
			`"message":"follow-up"}`,
			"INF waiting  order.paid            order-1 status: status_pending, 1.8s customer=c-1"},
		{`{"level":"info",` + who + `"outcome":"done","took_ms":0.018644,"repeated":true,"message":"known already"}`,
			"INF done     order.paid            order-1: known already, 20µs customer=c-1"},
		{`{"level":"info","event_id":"a\u001b[2Jb","event_type":"order.paid","outcome":"done","took_ms":1,"message":"event"}`,
			`INF done     order.paid            "a\x1b[2Jb", 1ms`},
		{`{"level":"info","partition":3,"took_ms":60.149532,"message":"partition taken, its state is restored"}`,
			"INF partition taken, its state is restored partition=3 took=60ms"},
	} {
		var out strings.Builder
		if _, err := terminal(&out).Write([]byte(c.json)); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(strings.TrimPrefix(out.String(), "<nil> "), "\n"); got != c.want {
			t.Errorf("got\n%q, want\n%q", got, c.want)
		}
	}
}

// Where nobody reads along, the log is JSON; the format can be chosen.
func TestLogFormat(t *testing.T) {
	t.Parallel()
	for format, isJSON := range map[string]bool{"auto": true, "json": true, "console": false} {
		var out strings.Builder
		log := logger(bridge.Logging{Level: "info", Format: format}, &out)
		log.Debug().Msg("unseen")
		log.Info().Msg("seen")
		if got := out.String(); strings.HasPrefix(got, "{") != isJSON || !strings.Contains(got, "seen") || strings.Contains(got, "unseen") {
			t.Errorf("%s: %q", format, got)
		}
	}
}
