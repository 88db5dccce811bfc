// Package guide is the clients of the provider's two public guides, written down call for call: Quickstart [G1] and the
// example guide [G2]. It is for tests only: they prove that who follows a guide to the letter succeeds against the sandbox.
//
// It guarantees: every request is one that its guide makes, in the guide's order, with the guide's scopes and prefix, by
// net/http alone; every answer is checked, and the first that is not as the guide says ends the run with an error. A run
// makes new idempotency keys, so that it can be repeated, and runs side by side do not meet. Nothing is tried twice.
//
// It knows nothing of this module, neither the sandbox nor the bridge's client: only so does it judge the sandbox as a
// stranger would. The values that it sends are made up, and its errors may hold them.
package guide
