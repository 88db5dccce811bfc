// Package sandbox is the Distributor API as a real HTTP server, strict and nasty: for tests, demos and teams upstream.
//
// It owns: both resource prefixes and the token endpoint; authorisation by scopes; validation of every request against
// the OpenAPI description in openapi.yaml, and by hand where that is not enough; idempotency by key in every mode that
// the documentation leaves open; investors whose KYC ends, investments whose status moves, wallets that hold units first
// in first out, and tasks; a ledger of every effect; and faults on demand, in pairs: failed and not applied, failed but
// applied.
//
// It guarantees: a request either has all its effects or none; what it answers follows from the requests, the
// configuration and the clock alone; it runs no goroutines but two in Serve: one waits for its end, one sends webhooks if
// there is somebody to be told. Time is time.Now, and what moves by itself (KYC, statuses, tasks) is worked out from
// timestamps when somebody looks, so it runs inside a testing/synctest bubble. Everything is in memory.
//
// It knows nothing of the bridge and its client, so that both can be wrong only separately. Its errors repeat the values
// that they refuse, as Django REST framework does: who logs them, leaks personal data. The ledger and the list of calls
// hold none: IDs, keys and digests only.
//
// It does not check the check digits of an IBAN, only its form: the sample values of the two guides are not known, and
// who follows a guide to the letter has to succeed. The real API may well refuse what the sandbox takes here.
//
// Facts of the API are marked where they are used: [G1] the Quickstart guide, [G2] the example guide, [D] the
// documentation pages, [A] an assumption, which is where the real API may differ.
//
// # A request's way
//
//	path → faults in front (outage, rate, refusals of a gateway, late) → token and scope → key → idempotency cache
//	     → faults inside (not applied) → latency → validation and effect, under one lock → cache
//	     → faults behind (applied) → answer
package sandbox
