package dash

// series are metrics by their name and labels, with their values as promtool's unit tests write them: a minute each. The
// target's labels are added.
type series map[string]string

// well is a member that has work and does it, for three hours.
var well = series{
	`up`: "1x180", `distributor_bridge_build_info{version="v1"}`: "1x180", `process_start_time_seconds`: "1000x180",
	`distributor_bridge_inbox_lost{partition="0"}`: "0x180", `distributor_bridge_ready`: "0x2 1x177",
	`process_resident_memory_bytes`: "130000000x180", `go_gc_gomemlimit_bytes`: "200000000x180",

	`distributor_bridge_inbox_lag_records{partition="0"}`: "20x180", `distributor_bridge_inbox_to_done_seconds_count`: "0+60x180",
	`distributor_bridge_intake_lag_records{topic="t",partition="0"}`:                    "5x180",
	`distributor_bridge_events_total{stage="intake",type="order.paid",outcome="taken"}`: "0+60x180",
	`distributor_bridge_oldest_event_age_seconds{partition="0"}`:                        "2x180",
	`distributor_bridge_inbox_partitions`:                                               "12x180", `distributor_bridge_partitions_assigned`: "12x180",
	`distributor_bridge_partitions_owned`: "12x180", `distributor_bridge_partitions_restoring`: "0x180",
	`distributor_bridge_window_full{partition="0"}`: "0x180", `distributor_bridge_held_full{partition="0"}`: "0x180",
	`distributor_bridge_partitions_fenced_total`: "0x180", `distributor_bridge_rebalances_total`: "1x180",
	`distributor_bridge_watchdog_cures_total{cause="stalled",cure="partition"}`: "0x180",
	`distributor_bridge_partitions_retaken_total{reason="failed"}`:              "0x180",
	`distributor_bridge_commits_total{result="done"}`:                           "0+60x180", `distributor_bridge_commits_total{result="failed"}`: "0x180",

	`distributor_bridge_breaker_state{state="closed"}`: "1x180", `distributor_bridge_breaker_state{state="open"}`: "0x180",
	`distributor_bridge_breaker_state{state="slow"}`:                               "0x180",
	`distributor_bridge_api_calls_total{operation="create_investor",status="201"}`: "0+600x180",
	`distributor_bridge_api_calls_total{operation="create_investor",status="401"}`: "0x180",
	`distributor_bridge_api_calls_total{operation="create_investor",status="404"}`: "0x180",
	`distributor_bridge_api_calls_total{operation="create_investor",status="500"}`: "0+6x180",
	`distributor_bridge_retries_total{class="unauthorized"}`:                       "0x180", `distributor_bridge_retries_total{class="endpoint"}`: "0x180",
	`distributor_bridge_token_fetches_total{result="done"}`: "0x59 1x59 2x59", `distributor_bridge_token_fetches_total{result="failed"}`: "0x180",
	`distributor_bridge_token_fetches_total{result="refused"}`: "0x180",
	`distributor_bridge_token_age_seconds`:                     "1800x180", `distributor_bridge_calls_per_second_limit`: "1e9x180",
	`distributor_bridge_document_host_down{host="docs.example.com:443"}`: "0x180",
	`distributor_bridge_hints_total{result="failed"}`:                    "0x180", `distributor_bridge_hints_total{result="unauthorized"}`: "0x180",

	`distributor_bridge_unresolved_events`: "0x180", `distributor_bridge_paused_partitions{type="order.paid"}`: "0x180",
	`distributor_bridge_dead_letters_total{reason="refused"}`: "0x180", `distributor_bridge_dead_letters_total{reason="bug"}`: "0x180",
	`distributor_bridge_held_oldest_age_seconds{reason="kyc_pending"}`: "86400+60x180",
}

// down is an API that is, from the first minute on.
var down = series{
	`distributor_bridge_breaker_state{state="closed"}`: "0x180", `distributor_bridge_breaker_state{state="open"}`: "1x180",
	`distributor_bridge_inbox_to_done_seconds_count`:             "600x180",
	`distributor_bridge_inbox_lag_records{partition="0"}`:        "0+60x180",
	`distributor_bridge_oldest_event_age_seconds{partition="0"}`: "0+60x180",
	`distributor_bridge_window_full{partition="0"}`:              "1x180",
}

// one gives a series, or more of them.
func one(pairs ...string) series {
	s := series{}
	for i := 0; i < len(pairs); i += 2 {
		s[pairs[i]] = pairs[i+1]
	}
	return s
}

// alertCase is what an alert is to fire for, in a member that is well otherwise, and what is so near to it that it must not.
type alertCase struct {
	fires, not series
	also       []string // alerts that the same makes fire, since it is more than one symptom
}

const gone = "_x180" // no samples at all

var alertCases = map[string]alertCase{
	"DistributorBridgeAbsent": {
		fires: one(`distributor_bridge_build_info{version="v1"}`, "1x60 _x120"),
		not:   one(`distributor_bridge_build_info{version="v1"}`, "1x60 _x3 1x117"),
	},
	"DistributorBridgeDown": {
		fires: one(`up{pod="bridge-2"}`, "1x60 0x120"), not: one(`up`, "1x60 0x3 1x117"),
	},
	"DistributorBridgeNotReady":        {fires: one(`distributor_bridge_ready`, "0x180"), not: one(`distributor_bridge_ready`, "0x8 1x171")},
	"DistributorBridgeRestarting":      {fires: one(`process_start_time_seconds`, "1000x60 2000x4 3000x4 4000x110"), not: one(`process_start_time_seconds`, "1000x60 2000x118")},
	"DistributorBridgeMemoryNearLimit": {fires: one(`process_resident_memory_bytes`, "190000000x180"), not: one(`process_resident_memory_bytes`, "170000000x180")},
	"DistributorBridgeNoProgress":      {fires: one(`distributor_bridge_inbox_to_done_seconds_count`, "0+60x60 3600x120"), not: down},
	"DistributorBridgeIntakeNoProgress": {
		fires: one(`distributor_bridge_events_total{stage="intake",type="order.paid",outcome="taken"}`, "0+60x60 3600x120"),
		not: one(`distributor_bridge_events_total{stage="intake",type="order.paid",outcome="taken"}`, "0x180",
			`distributor_bridge_intake_lag_records{topic="t",partition="0"}`, "0x180"),
	},
	"DistributorBridgeEventsTooOld": {fires: one(`distributor_bridge_oldest_event_age_seconds{partition="0"}`, "0+60x180"), not: down},
	"DistributorBridgePartitionsWithoutOwner": {
		fires: one(`distributor_bridge_partitions_assigned`, "11x180", `distributor_bridge_partitions_owned`, "11x180"),
		not:   one(`distributor_bridge_partitions_owned`, "12x60 0x5 12x115"),
	},
	"DistributorBridgePartitionsNotTaken": {
		fires: one(`distributor_bridge_partitions_owned`, "11x180"), also: []string{"DistributorBridgePartitionsWithoutOwner"},
		not: one(`distributor_bridge_partitions_owned`, "12x60 11x8 12x112", `distributor_bridge_partitions_restoring`, "0x60 1x8 0x112"),
	},
	"DistributorBridgeRestoreTooLong": {
		fires: one(`distributor_bridge_partitions_restoring`, "1x180", `distributor_bridge_partitions_owned`, "11x180"),
		also:  []string{"DistributorBridgePartitionsWithoutOwner"},
		not:   one(`distributor_bridge_partitions_restoring`, "12x5 0x175"),
	},
	"DistributorBridgeInboxLost": {
		fires: one(`distributor_bridge_inbox_lost{partition="0"}`, "0x60 1x119"), not: one(`distributor_bridge_inbox_lost{partition="0"}`, gone),
	},
	"DistributorBridgeWindowFull": {fires: one(`distributor_bridge_window_full{partition="0"}`, "1x180"), not: down},
	"DistributorBridgeHeldFull":   {fires: one(`distributor_bridge_held_full{partition="0"}`, "1x180"), not: one(`distributor_bridge_held_full{partition="0"}`, "1x5 0x175")},
	"DistributorBridgeFencedAgain": {
		fires: one(`distributor_bridge_partitions_fenced_total`, "0+1x180"), not: one(`distributor_bridge_partitions_fenced_total`, "0x60 12x120"),
	},
	"DistributorBridgeRebalancing": {fires: one(`distributor_bridge_rebalances_total`, "1+1x180"), not: one(`distributor_bridge_rebalances_total`, "1x60 4x120")},
	"DistributorBridgeWatchdog": {
		fires: one(`distributor_bridge_watchdog_cures_total{cause="stalled",cure="partition"}`, "0x60 1x9 2x9 4x100"),
		not:   one(`distributor_bridge_watchdog_cures_total{cause="stalled",cure="partition"}`, "0x60 1x119"),
	},
	"DistributorBridgeStateFails": {
		fires: one(`distributor_bridge_partitions_retaken_total{reason="failed"}`, "0x60 0+1x119"),
		not:   one(`distributor_bridge_partitions_retaken_total{reason="failed"}`, "0x60 2x119"),
	},
	"DistributorBridgeCommitsFail": {
		fires: one(`distributor_bridge_commits_total{result="done"}`, "60x180", `distributor_bridge_commits_total{result="failed"}`, "0+1x180"),
		not:   one(`distributor_bridge_commits_total{result="failed"}`, "0+1x180"),
	},
	"DistributorBridgeApiDown": {fires: down, not: one(`distributor_bridge_breaker_state{state="closed"}`, "1x60 0x5 1x115")},
	"DistributorBridgeUnauthorized": {
		fires: one(`distributor_bridge_retries_total{class="unauthorized"}`, "0+2x180"),
		not:   one(`distributor_bridge_api_calls_total{operation="create_investor",status="401"}`, "0x60 64x120"), // a token that ended
	},
	"DistributorBridgeEndpointWrong": {
		fires: one(`distributor_bridge_retries_total{class="endpoint"}`, "0+2x180"),
		not:   one(`distributor_bridge_api_calls_total{operation="create_investor",status="404"}`, "0+2x180"), // documents that are gone
	},
	"DistributorBridgeApiErrors": {
		fires: one(`distributor_bridge_api_calls_total{operation="create_investor",status="500"}`, "0+200x180"),
		not:   one(`distributor_bridge_api_calls_total{operation="create_investor",status="500"}`, "0x60 0+200x5 1000x114"),
	},
	"DistributorBridgeTokenFails": {
		fires: one(`distributor_bridge_token_fetches_total{result="refused"}`, "0x60 0+1x119", `distributor_bridge_token_fetches_total{result="done"}`, "1x180"),
		// A quiet hour: the only call that was to renew the token ahead of its end has failed at it, and used the old one.
		not: one(`distributor_bridge_token_fetches_total{result="failed"}`, "0x57 1x3 2x119", `distributor_bridge_token_fetches_total{result="done"}`, "1x180"),
	},
	"DistributorBridgeTokenOld": {
		fires: one(`distributor_bridge_token_age_seconds`, "90000+60x180"),
		not: one(`distributor_bridge_token_age_seconds`, "90000+60x180", // nobody asks the API anything
			`distributor_bridge_api_calls_total{operation="create_investor",status="201"}`, "600x180",
			`distributor_bridge_api_calls_total{operation="create_investor",status="500"}`, "6x180"),
	},
	"DistributorBridgeRateVeryLow": {fires: one(`distributor_bridge_calls_per_second_limit`, "0.5x180"), not: one(`distributor_bridge_calls_per_second_limit`, "0.5x10 2x170")},
	"DistributorBridgeDocumentHostDown": {
		fires: one(`distributor_bridge_document_host_down{host="docs.example.com:443"}`, "1x180"),
		not:   one(`distributor_bridge_document_host_down{host="docs.example.com:443"}`, "1x20 0x160"),
	},
	"DistributorBridgeHintsLost":    {fires: one(`distributor_bridge_hints_total{result="failed"}`, "0+1x180"), not: one(`distributor_bridge_hints_total{result="failed"}`, "0x60 3x120")},
	"DistributorBridgeHintsRefused": {fires: one(`distributor_bridge_hints_total{result="unauthorized"}`, "0+1x180"), not: one(`distributor_bridge_hints_total{result="unauthorized"}`, "0x60 3x120")},
	"DistributorBridgeUnresolved":   {fires: one(`distributor_bridge_unresolved_events`, "0x60 1x120"), not: one(`distributor_bridge_unresolved_events`, gone)},
	"DistributorBridgeTypePaused": {
		fires: one(`distributor_bridge_paused_partitions{type="order.paid"}`, "0x60 3x120"), not: one(`distributor_bridge_paused_partitions{type="order.paid"}`, gone),
	},
	"DistributorBridgeDeadLetters": {
		fires: one(`distributor_bridge_dead_letters_total{reason="refused"}`, "0x60 10x120"),
		not:   one(`distributor_bridge_dead_letters_total{reason="refused"}`, "0x60 3x120"),
	},
	"DistributorBridgeBug": {
		fires: one(`distributor_bridge_dead_letters_total{reason="bug"}`, "0x60 1x120"), not: one(`distributor_bridge_dead_letters_total{reason="bug"}`, "1x180"),
	},
	"DistributorBridgeHeldNearExpiry": {
		fires: one(`distributor_bridge_held_oldest_age_seconds{reason="kyc_pending"}`, "2200000+60x180"),
		not:   one(`distributor_bridge_held_oldest_age_seconds{reason="status_pending"}`, "2200000+60x180"),
	},
}
