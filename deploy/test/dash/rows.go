package dash

// row is a heading with the panels below it, from left to right, a line full after 24.
type row struct {
	title  string
	panels []panel
}

// dashboard is all of it, from what is looked at first to what it may be due to.
func dashboard() []row {
	return []row{
		{"Is it healthy?", health()},
		{"Events and results", events()},
		{"Waiting, held, dead letters", waiting()},
		{"The API: calls, latency, breaker, rate", calling()},
		{"Kafka: lag of both stages, rebalances, commits, window", consuming()},
		{"State, memory, Go", running()},
	}
}

// Colours with a meaning.
var (
	outcomes = map[string]string{
		"done": "green", "taken": "green", "repeated": "text", "skipped": "text", "waiting": "blue", "behind": "super-light-blue",
		"retrying": "yellow", "rejected": "red", "unknown": "purple",
	}
	laneStates = map[string]string{"working": "green", "ready": "blue", "gated": "orange", "paused": "yellow", "resting": "text"}
	percentile = map[string]string{"p50": "green", "p95": "yellow", "p99": "red"}
)

// quantiles gives the p50, p95 and p99 of a histogram.
func quantiles(histogram string) []query {
	of := func(q string) string {
		return `histogram_quantile(` + q + `, sum by (le) (rate(` + histogram + `_bucket{$in}[$__rate_interval])))`
	}
	return []query{q(of("0.5"), "p50"), q(of("0.95"), "p95"), q(of("0.99"), "p99")}
}

// worstState gives 0 for a closed breaker, 1 for a slow one, 2 for an open one.
func worstState(by string) string {
	return `max by (` + by + `) (2 * distributor_bridge_breaker_state{$in,state="open"} + ignoring (state) ` +
		`distributor_bridge_breaker_state{$in,state="slow"})`
}

func health() []panel {
	return []panel{
		number("Members ready",
			"Members that have all that they work with: brokers, groups, state, token.",
			"none",
			`sum(distributor_bridge_ready{$in}) or vector(0)`).whole().redBelow(1).see("DistributorBridgeNotReady"),
		number("API",
			"What the breaker says of the API, of the worst member: up (closed), beginning again (slow), down (open).",
			"none",
			worstState(""),
			step{1, "yellow"}, step{2, "red"}).
			words([2]string{"up", "green"}, [2]string{"slow", "yellow"}, [2]string{"down", "red"}).see("DistributorBridgeApiDown"),
		number("Partitions without owner",
			"Inbox partitions that nobody works on: while a group is joined anew that is so for seconds.",
			"none", // of each deployment: one must not hide another's
			`sum(max by (namespace, job) (distributor_bridge_inbox_partitions{$in}) - `+
				`sum by (namespace, job) (distributor_bridge_partitions_owned{$in}))`,
			step{1, "red"}).whole().see("DistributorBridgePartitionsWithoutOwner"),
		number("Events in the inbox",
			"Records that are not done: at work, or not fetched yet. Held events are done: they wait in state.",
			"short", `sum(distributor_bridge_inbox_lag_records{$in})`, step{1000, "yellow"}, step{100000, "red"}).
			see("DistributorBridgeNoProgress"),
		number("Oldest event",
			"Age in the inbox of the oldest event that is neither done nor held.",
			"s",
			`max(distributor_bridge_oldest_event_age_seconds{$in})`, step{60, "yellow"}, step{1800, "red"}).
			see("DistributorBridgeEventsTooOld"),
		number("Unresolved",
			"Events of which nobody knows whether they happened: a person has to look (held list --verdict unknown).",
			"none", `sum(distributor_bridge_unresolved_events{$in})`, step{1, "red"}).whole().see("DistributorBridgeUnresolved"),
		number("Paused types",
			"Event types of which too many were rejected: an operator has to let them go on (resume).",
			"none",
			`count(sum by (type) (distributor_bridge_paused_partitions{$in}) > 0) or vector(0)`, step{1, "red"}).whole().
			see("DistributorBridgeTypePaused"),
		number("Dead letters",
			"Events given up in the time that is shown (dead list).",
			"none",
			`sum(increase(distributor_bridge_dead_letters_total{$in}[$__range]))`, step{1, "yellow"}, step{50, "red"}).whole().
			see("DistributorBridgeDeadLetters"),
		states("Alerts that fire",
			"The bridge's alerts, if this Prometheus evaluates them (deploy/prometheus/alerts.yaml).",
			[][2]string{{"", "transparent"}, {"fires", "red"}},
			q(`max by (alertname) (ALERTS{alertname=~"DistributorBridge.+",alertstate="firing"})`, "{{alertname}}")).width(16).
			otherwise("none fires"),
		graph("Events done, events waiting",
			"Events that came to their end a second, and records of the inbox that are not done.",
			"short",
			q(`sum(rate(distributor_bridge_events_total{$in,stage="event",outcome="done"}[$__rate_interval]))`, "done a second"),
			q(`sum(distributor_bridge_inbox_lag_records{$in})`, "in the inbox")).right("in the inbox"),
	}
}

func events() []panel {
	return []panel{
		graph("Taken in, by type",
			"Upstream's events that intake appended to the inbox.",
			"cps",
			q(`sum by (type) (rate(distributor_bridge_events_total{$in,stage="intake",outcome="taken"}[$__rate_interval]))`, "{{type}}")).
			stacked().see("DistributorBridgeIntakeNoProgress"),
		graph("What intake makes of events",
			"Taken into the inbox, skipped (unknown types), or rejected into the dead letters.",
			"cps",
			q(`sum by (outcome) (rate(distributor_bridge_events_total{$in,stage="intake"}[$__rate_interval]))`, "{{outcome}}")).
			coloured(outcomes),
		graph("What becomes of events",
			"Attempts at events by how they ended. Waiting and retrying come back; rejected are in the dead letters.",
			"cps", q(`sum by (outcome) (rate(distributor_bridge_events_total{$in,stage="event"}[$__rate_interval]))`, "{{outcome}}")).
			stacked().coloured(outcomes),
		heat("From event to result",
			"Time from an event's own time to its result, for events that came to their end. Waiting for a KYC counts.",
			`sum by (le) (increase(distributor_bridge_event_to_result_seconds_bucket{$in}[$__rate_interval]))`),
		graph("From inbox to done",
			"Time from an event's append to the inbox until it was done or held: how fast the bridge itself is.",
			"s",
			quantiles("distributor_bridge_inbox_to_done_seconds")...).coloured(percentile).see("DistributorBridgeEventsTooOld"),
		graph("What becomes of follow-ups",
			"Looks at a KYC, a status or a task, and the calls that follow from them.",
			"cps",
			q(`sum by (outcome) (rate(distributor_bridge_events_total{$in,stage="follow-up"}[$__rate_interval]))`, "{{outcome}}")).
			stacked().coloured(outcomes),
	}
}

func waiting() []panel {
	return []panel{
		graph("Held, by reason",
			"Events and follow-ups that cannot finish now, by what they wait for.",
			"short",
			q(`sum by (reason) (distributor_bridge_held_events{$in})`, "{{reason}}")).stacked().see("DistributorBridgeHeldFull"),
		graph("Oldest held, by reason",
			"An event that waits for longer than rules.max_wait (30 days) becomes a dead letter.",
			"s",
			q(`max by (reason) (distributor_bridge_held_oldest_age_seconds{$in,reason!~"temporary|paused|status_pending"})`, "{{reason}}")).
			limit(25 * 86400).see("DistributorBridgeHeldNearExpiry"),
		graph("Unresolved and paused",
			"What only a person can end: events of which nobody knows whether they happened, and types that paused.",
			"short", q(`sum(distributor_bridge_unresolved_events{$in})`, "unresolved events"),
			q(`sum by (type) (distributor_bridge_paused_partitions{$in}) > 0`, "partitions with {{type}} paused")).
			see("DistributorBridgeTypePaused"),
		graph("Dead letters, by reason",
			"Events given up. What to do depends on the reason: see the runbook.",
			"short",
			q(`sum by (reason) (increase(distributor_bridge_dead_letters_total{$in}[$__rate_interval])) > 0`, "{{reason}}")).bars().
			see("DistributorBridgeDeadLetters"),
		graph("Customers with something to be done",
			"By what their lane is at: gated while the API is down, resting until something held is due.",
			"short", q(`sum by (state) (distributor_bridge_lanes{$in})`, "{{state}}")).stacked().coloured(laneStates),
		graph("Operators' commands",
			"Replays' and other commands' records, by what became of them; skipped ones were not current any more.",
			"short", q(`sum by (type, outcome) (increase(distributor_bridge_events_total{$in,stage="command"}[$__rate_interval]))`,
				"{{type}} {{outcome}}")).bars(),
	}
}

func calling() []panel {
	return []panel{
		graph("Calls, by status",
			"Calls of the API by the HTTP status of their answer; no_answer: it was lost; not_sent: none arrived.",
			"reqps",
			q(`sum by (status) (rate(distributor_bridge_api_calls_total{$in}[$__rate_interval])) > 0`, "{{status}}")).stacked().
			see("DistributorBridgeApiErrors"),
		graph("Calls, by operation",
			"What the API is asked for.",
			"reqps",
			q(`sum by (operation) (rate(distributor_bridge_api_calls_total{$in}[$__rate_interval])) > 0`, "{{operation}}")).stacked(),
		graph("Latency",
			"Of all calls, from the request to the whole answer.",
			"s",
			quantiles("distributor_bridge_api_call_duration_seconds")...).coloured(percentile),
		graph("Latency p95, by operation",
			"Which operation is slow.",
			"s",
			q(`histogram_quantile(0.95, sum by (le, operation) `+
				`(rate(distributor_bridge_api_call_duration_seconds_bucket{$in}[$__rate_interval])))`, "{{operation}}")),
		graph("Calls in flight",
			"Calls under way of all members, and how many there may be (rules.max_in_flight each).",
			"short",
			q(`sum(distributor_bridge_api_calls_in_flight{$in})`, "in flight"),
			q(`sum(distributor_bridge_api_calls_in_flight_limit{$in})`, "limit")).ceiling(),
		graph("Retries, by class",
			"Attempts that are to be repeated, by what was observed. unauthorized and endpoint: configuration, not the API.",
			"cps", q(`sum by (class) (rate(distributor_bridge_retries_total{$in}[$__rate_interval])) > 0`, "{{class}}")).stacked().
			see("DistributorBridgeUnauthorized"),
		states("Breaker",
			"open: the API is down, and only probed. slow: it is back, and concurrency comes back gradually.",
			[][2]string{{"closed", "green"}, {"slow", "yellow"}, {"open", "red"}},
			q(worstState("instance"), "{{instance}}")).
			see("DistributorBridgeApiDown"),
		graph("Rate",
			"Calls a second of all members, and what each allows itself: by configuration, or as learned from 429. No line: no limit.",
			"reqps", q(`sum(rate(distributor_bridge_api_calls_total{$in}[$__rate_interval]))`, "calls of all"),
			q(`distributor_bridge_calls_per_second_limit{$in} < +Inf`, "limit of {{instance}}")).logarithmic().
			see("DistributorBridgeRateVeryLow"),
		graph("Probes",
			"Calls that ask whether the API is back while the breaker is open.",
			"cps",
			q(`sum by (instance) (rate(distributor_bridge_breaker_probes_total{$in}[$__rate_interval]))`, "{{instance}}")),
		graph("Token's age",
			"One that is used is renewed before its end.",
			"s",
			q(`distributor_bridge_token_age_seconds{$in}`, "{{instance}}")).see("DistributorBridgeTokenOld"),
		graph("Token fetches",
			"By whether a token was got.",
			"short",
			q(`sum by (result) (increase(distributor_bridge_token_fetches_total{$in}[$__rate_interval]))`, "{{result}}")).bars().
			coloured(map[string]string{"done": "green", "failed": "red", "refused": "purple"}).see("DistributorBridgeTokenFails"),
		graph("Webhooks, document hosts",
			"The provider's hints by how they were answered, and hosts whose documents cannot be had (1: down).",
			"short", q(`sum by (result) (rate(distributor_bridge_hints_total{$in}[$__rate_interval])) > 0`, "hints {{result}} a second"),
			q(`max by (host) (distributor_bridge_document_host_down{$in})`, "{{host}} down")).see("DistributorBridgeHintsLost"),
	}
}
