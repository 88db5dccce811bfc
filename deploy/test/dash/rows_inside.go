package dash

func consuming() []panel {
	return []panel{
		graph("Lag of intake",
			"Upstream's records that are not taken in yet, by topic.",
			"short",
			q(`sum by (topic) (distributor_bridge_intake_lag_records{$in})`, "{{topic}}")).see("DistributorBridgeIntakeNoProgress"),
		graph("Lag of the inbox",
			"Records of the inbox that are not done, by partition.",
			"short",
			q(`max by (partition) (distributor_bridge_inbox_lag_records{$in})`, "{{partition}}")).stacked().
			see("DistributorBridgeNoProgress"),
		graph("Oldest event",
			"Age of the oldest event that is neither done nor held, by inbox partition.",
			"s",
			q(`max by (partition) (distributor_bridge_oldest_event_age_seconds{$in})`, "{{partition}}")).limit(1800).
			see("DistributorBridgeEventsTooOld"),
		graph("Partitions",
			"Inbox partitions that the group has given to members; that are worked on; whose state is being read.",
			"short",
			q(`sum(distributor_bridge_partitions_assigned{$in})`, "assigned"), q(`sum(distributor_bridge_partitions_owned{$in})`, "owned"),
			q(`sum(distributor_bridge_partitions_restoring{$in})`, "restoring"), q(`max(distributor_bridge_inbox_partitions{$in})`, "all")).
			see("DistributorBridgePartitionsNotTaken"),
		graph("Partitions, by member",
			"Who works on how many.",
			"short",
			q(`distributor_bridge_partitions_owned{$in}`, "{{instance}}")).stacked(),
		graph("Rebalances",
			"Generations of the inbox group. Each stops a member's partitions for some seconds.",
			"short",
			q(`sum by (instance) (increase(distributor_bridge_rebalances_total{$in}[$__rate_interval]))`, "{{instance}}")).bars().
			see("DistributorBridgeRebalancing"),
		graph("Commits",
			"Commits of inbox offsets. A failed one is repeated, and doubles no effect.",
			"cps",
			q(`sum by (result) (rate(distributor_bridge_commits_total{$in}[$__rate_interval]))`, "{{result}}")).
			coloured(map[string]string{"done": "green", "failed": "red"}).see("DistributorBridgeCommitsFail"),
		graph("Partitions given up",
			"Fenced: another owner has taken them over. Taken anew: given up and taken again, by reason.",
			"short",
			q(`sum(increase(distributor_bridge_partitions_fenced_total{$in}[$__rate_interval]))`, "fenced"),
			q(`sum by (reason) (increase(distributor_bridge_partitions_retaken_total{$in}[$__rate_interval]))`, "taken anew: {{reason}}"),
			q(`sum by (cause, cure) (increase(distributor_bridge_watchdog_cures_total{$in}[$__rate_interval]))`,
				"watchdog: {{cause}}, {{cure}}")).
			bars().see("DistributorBridgeFencedAgain"),
		states("Fetching stopped",
			"Of a partition: its window is full (more than gets done), too many of its events are held, or it has lost some.",
			[][2]string{{"fetches", "transparent"}, {"window full", "yellow"}, {"too many held", "red"}, {"inbox lost", "purple"}},
			q(`max by (partition) (3 * distributor_bridge_inbox_lost{$in} > 0 or 2 * distributor_bridge_held_full{$in} > 0 or `+
				`distributor_bridge_window_full{$in})`, "{{partition}}")).
			see("DistributorBridgeWindowFull"),
		graph("Window: records",
			"Inbox records that were taken, from the first on that is not done.",
			"short",
			q(`max by (partition) (distributor_bridge_window_records{$in})`, "{{partition}}")).stacked().width(12),
		graph("Window: memory",
			"Memory that those of them take that are not done.",
			"bytes",
			q(`max by (partition) (distributor_bridge_window_bytes{$in})`, "{{partition}}")).stacked().width(12),
	}
}

// restores gives a quantile of all there were: they are few.
func restores(quantile, name string) query {
	return q(`histogram_quantile(`+quantile+`, sum by (le) (distributor_bridge_state_restore_duration_seconds_bucket{$in}))`, name)
}

func running() []panel {
	return []panel{
		graph("Objects of state",
			"Objects remembered, by inbox partition. An order's takes some 430 bytes of memory.",
			"short",
			q(`max by (partition) (distributor_bridge_state_objects{$in})`, "{{partition}}")).stacked(),
		graph("Restoring state",
			"How long taking a partition's state over took, since the members' start.",
			"s",
			restores("0.5", "p50"), restores("0.95", "p95"), restores("0.99", "p99")).coloured(percentile).
			see("DistributorBridgeRestoreTooLong"),
		graph("Memory",
			"Of the process, and the part of it that is Go's heap.",
			"bytes",
			q(`process_resident_memory_bytes{$in}`, "{{instance}}"),
			q(`go_memstats_heap_inuse_bytes{$in}`, "{{instance}} heap"),
			q(`go_gc_gomemlimit_bytes{$in} < 1e15`, "{{instance}} GOMEMLIMIT")).
			see("DistributorBridgeMemoryNearLimit"),
		graph("Processor",
			"Processors in use.",
			"short",
			q(`rate(process_cpu_seconds_total{$in}[$__rate_interval])`, "{{instance}}")),
		graph("Handlers at work",
			"Attempts under way; each has at most one call of the API in flight.",
			"short",
			q(`sum by (instance) (distributor_bridge_attempts_in_flight{$in})`, "{{instance}}")),
		graph("Goroutines",
			"Of the Go runtime. Ever more of them: a leak.",
			"short", q(`go_goroutines{$in}`, "{{instance}}")),
		graph("Open files",
			"Connections among them: to brokers, API, and whoever asks.",
			"short",
			q(`process_open_fds{$in}`, "{{instance}}")),
		graph("Garbage collection",
			"How long collections stop the program: the longest of late.",
			"s",
			q(`max by (instance) (go_gc_duration_seconds{$in})`, "{{instance}}")),
		table("What runs",
			"Versions of the members: several while a deployment is under way.",
			`distributor_bridge_build_info{$in}`, map[string]string{
				"instance": "Member", "version": "Version", "go_version": "Go", "job": "Job", "namespace": "Namespace",
			}),
	}
}
