# The same commands here and in CI. Needed: Go and make; gcc for race; a JDK (17 or newer) and Maven for test-kafka.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# Time that make fuzz spends on each target.
FUZZTIME ?= 20s
# Options of make bench; distributor-sandbox bench --help tells them.
BENCH ?=
# How often make chaos kills and freezes, and more options; distributor-sandbox chaos --help tells them.
KILLS ?= 5
FREEZES ?= 2
CHAOS ?=
# What make test-kafka runs on the real broker.
KAFKA_TESTS ?= ./...

GOLANGCI_VERSION := v2.15.0
GOLANGCI := build/bin/golangci-lint-$(GOLANGCI_VERSION)
KAFKA_LIBS := build/kafka/libs
KAFKA_POM := internal/broker/apache-kafka/pom.xml

.PHONY: help
help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Broker, API, bridge and sample events in one process: watch what happens
	@$(GO) run ./cmd/distributor-sandbox demo

.PHONY: test
test: vet ## All tests, in process: needs Go alone
	$(GO) test -timeout 5m ./...

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: race
race: ## All tests with the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race -timeout 40m ./...

.PHONY: crash
crash: ## Kill a bridge at every one of its writes and calls, in every idempotency mode (make test: at a sample), and let weeks pass
	$(GO) test -count=1 -timeout 20m -run "TestKilledAnywhere|TestWeeks|TestOneOperationRefused" ./internal/bridge -every-point

.PHONY: lint
lint: $(GOLANGCI) ## Static checks; the linter is built from its sources, once
	$(GO) mod tidy -diff
	$(GOLANGCI) run ./...

# Built, not fetched: the module proxy and its checksums are all that has to be trusted.
$(GOLANGCI):
	@mkdir -p build/bin
	GOBIN=$(CURDIR)/build/bin/new $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv build/bin/new/golangci-lint $@ && rmdir build/bin/new

.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME (20s)
	@grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=build . | xargs -n 1 dirname | sort -u | while read -r folder; do \
		for target in $$(cat "$$folder"/*_test.go | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p'); do \
			echo "== $$folder $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$folder"; \
		done; \
	done

.PHONY: bench
bench: ## Measure the bridge: BENCH='--libs build/kafka/libs --in-flight 256' and the like
	@$(GO) run ./cmd/distributor-sandbox bench $(BENCH)

.PHONY: chaos
chaos: $(KAFKA_LIBS)/.complete ## Kill, freeze, restart, add and remove members under load, kill the broker, and audit: KILLS=50 FREEZES=10 for all of it
	@mkdir -p build/bin
	$(GO) build -o build/bin/ ./cmd/distributor-bridge ./cmd/distributor-sandbox
	@build/bin/distributor-sandbox chaos --libs $(KAFKA_LIBS) --trial rolling,scale,kill=$(KILLS),broker,freeze=$(FREEZES) $(CHAOS)

.PHONY: docs
docs: ## Do what README and guides tell their readers to type, with the real programs
	$(GO) test -count=1 -timeout 10m -run TestDocuments . -documents

.PHONY: deploy-test
deploy-test: ## Check what is in deploy/: images' steps, compose, Helm chart, dashboard and alerts, without engine or cluster
	@cd deploy/test && unformatted="$$(gofmt -l .)" && [ -z "$$unformatted" ] || { echo "gofmt -w deploy/test: $$unformatted"; exit 1; }
	cd deploy/test && $(GO) mod tidy -diff
	cd deploy/test && $(GO) vet ./...
	cd deploy/test && $(GO) test -timeout 20m ./...

.PHONY: bench-go
bench-go: ## All benchmarks of packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: test-kafka
test-kafka: $(KAFKA_LIBS)/.complete ## All tests on a real Apache Kafka, which is fetched by Maven, started and stopped
	KAFKA_LIBS=$(CURDIR)/$(KAFKA_LIBS) $(GO) run ./cmd/distributor-sandbox kafka --libs $(KAFKA_LIBS) -- $(GO) test -count=1 -timeout 15m $(KAFKA_TESTS)

$(KAFKA_LIBS)/.complete: $(KAFKA_POM)
	rm -rf $(KAFKA_LIBS)
	mvn --batch-mode --quiet -f $(KAFKA_POM) dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(KAFKA_LIBS)
	@touch $@

.PHONY: reproducible
reproducible: ## Build the last commit twice, in two folders, and compare
	.ci/release --check

.PHONY: release
release: ## VERSION=v1.2.3: programs, bill of materials and checksums of the last commit, in dist/
	.ci/release $(VERSION)

.PHONY: check
check: lint test docs race deploy-test crash reproducible test-kafka chaos ## All of it, as CI does
