SHELL := /bin/bash
.DEFAULT_GOAL := help

GO ?= go
GOLANGCI_LINT_VERSION := v2.15.0
LINT := bin/golangci-lint
LOCAL := deploy/local

# What chaos draws from: the same seed strikes in the same way.
SEED ?= 1

.PHONY: help run test uppy failpoints race bench bench-pipeline bench-api chaos chaos-long hosts mutants build deps lint fmt vet clean

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: build ## start Sluice and all it needs on this machine; Ctrl-C stops it
	@exec bin/sluice-local run

test: build ## run every test against the real services
	bin/sluice-local exec -- $(GO) test -count=1 -timeout 10m ./...
	cd $(LOCAL) && $(GO) test -count=1 -timeout 15m -artifacts -outputdir $(CURDIR)/bin ./...

uppy: build ## send 300 MB by each line of Uppy, with a failing part and a reload in between
	cd $(LOCAL) && E2E_LARGE_FILE=314572800 $(GO) test -count=1 -timeout 15m -v -run UppyResumes ./e2e

failpoints: build ## kill a worker, the API and an operator's commands at every point between two effects
	bin/sluice-local exec -- $(GO) test -count=1 -timeout 20m -parallel 6 -tags failpoints -run 'Failpoint|Parse|Strikes|DieAnywhere' \
		./pipeline ./pipeline/failpoint ./cmd/sluice

race: build ## the same under the race detector
	bin/sluice-local exec -- $(GO) test -race -timeout 20m ./...
	cd $(LOCAL) && $(GO) test -race -timeout 20m ./...

bench: build ## run the benchmarks
	bin/sluice-local exec -- $(GO) test -run '^$$' -bench . -benchmem ./...
	cd $(LOCAL) && $(GO) test -run '^$$' -bench . -benchmem ./sqs/...

bench-pipeline: deps ## measure what the control plane costs, against its targets
	cd $(LOCAL) && $(GO) build -o ../../bin/sluice-bench ./bench
	bin/sluice-bench pipeline $(BENCH_FLAGS)

bench-api: build ## measure what the API costs, against the usual backend in Node.js and its targets
	cd $(LOCAL) && $(GO) build -o ../../bin/sluice-bench ./bench
	cd $(LOCAL)/bench/peer && npm ci --ignore-scripts --no-audit --no-fund --silent
	bin/sluice-bench api $(BENCH_FLAGS)

chaos: build bin/sluice-failpoints ## let everything fail for a minute, then have stages give up, and judge what comes of the uploads; SEED=n
	bin/sluice-local chaos --seed $(SEED) --sluice bin/sluice-failpoints
	bin/sluice-local chaos --seed $(SEED) --sluice bin/sluice-failpoints --profile giving-up --uploads 60 --duration 20s

chaos-long: build bin/sluice-failpoints ## a siege of 10,000 uploads, in three quarters of an hour on two processors
	bin/sluice-local chaos --seed $(SEED) --sluice bin/sluice-failpoints --profile siege --uploads 10000 --clients 128 --underway 60 --workers 6 --duration 30m

.PHONY: bin/sluice-failpoints
bin/sluice-failpoints: deps
	$(GO) build -tags failpoints -o $@ ./cmd/sluice

hosts: build ## cut hosts off from Postgres, from SQS and from everything for longer than any of Sluice's deadlines, and judge the same
	bin/sluice-local chaos --seed $(SEED) --profile hosts --uploads 200 --duration 285s

mutants: build ## plant bugs in Sluice and show that chaos finds each
	bin/sluice-local mutants --seed $(SEED)

build: deps ## build bin/sluice and bin/sluice-local
	@mkdir -p bin
	$(GO) build -o bin/sluice ./cmd/sluice
	cd $(LOCAL) && $(GO) build -o ../../bin/sluice-local .

deps: ## install the Debian packages that are missing
	@$(LOCAL)/install.sh

lint: $(LINT) ## check both modules
	$(LINT) run ./...
	cd $(LOCAL) && ../../$(LINT) run --config ../../.golangci.yaml ./...

$(LINT):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

fmt: $(LINT) ## format both modules
	$(LINT) fmt ./...
	cd $(LOCAL) && ../../$(LINT) fmt --config ../../.golangci.yaml ./...

vet: ## go vet in both modules
	$(GO) vet ./...
	cd $(LOCAL) && $(GO) vet ./...

clean: ## remove what was built; the data in .sluice stays
	rm -rf bin
