// The offline checks of everything in deploy/. A module of its own: what only these tests need (Helm, Kubernetes' types,
// Prometheus' engine, compose) is no dependency of the bridge.
module distributor-bridge/deploy/test

go 1.26.0

require distributor-bridge v0.0.0

require github.com/prometheus/prometheus v0.313.5 // indirect

replace distributor-bridge => ../..
