# Every target a person or a pipeline needs. `make` alone prints them; a comment after ## is the help text.
# Nothing here is installed into the system: tools are pinned in hack/tools and cached outside the checkout.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The same flags everywhere: a build without -trimpath shares no cache entry with one that has it, and the Kubernetes
# packages behind the tests take minutes to compile twice.
export GOFLAGS := -trimpath -buildvcs=false
export CGO_ENABLED := 0

VERSION ?= 1.0.0
IMG ?= englog-operator:$(VERSION)
WORKLOAD_IMG ?= englog:$(VERSION)
KUBECTL ?= kubectl
CONTAINER_TOOL ?= docker
TOOL := hack/tools/run
MODULE := $(shell sed -n 's/^module //p' go.mod)
LDFLAGS := -s -w -X $(MODULE)/workload/run.Version=$(VERSION)
# Product code: what ships. Tests and tools stand beside it.
PRODUCT := ./api/... ./controllers/... ./cmd/... ./workload/...
# go complains about a pattern that matches nothing; a room that has not been built yet is no error.
existing = $(foreach pattern,$(1),$(if $(wildcard $(patsubst %/...,%,$(pattern))),$(pattern)))
UNIT := $(call existing,$(PRODUCT) ./hack/... ./test/architecture/... ./test/contract/... ./test/defects/... ./test/images/... ./test/load/... ./test/crash/...)
# Packages whose tests start PostgreSQL or Redis: those that use the rig for it. The others are quick.
TESTRIG := "$(MODULE)/workload/testrig"
USES_SERVERS := {{$$uses := eq .ImportPath $(TESTRIG)}}{{range .TestImports}}{{if eq . $(TESTRIG)}}{{$$uses = true}}{{end}}{{end}}{{range .XTestImports}}{{if eq . $(TESTRIG)}}{{$$uses = true}}{{end}}{{end}}
QUICK := $(USES_SERVERS){{if not $$uses}}{{.ImportPath}}{{end}}
SERVICE := $(USES_SERVERS){{if $$uses}}{{.ImportPath}}{{end}}
GOTEST := go test -count=1
# Set to fail, not skip, where the real node cannot run (the pipeline sets it).
export REQUIRE_NODE ?=
# How many deaths of the operator test-crash draws by SEED; all = the whole matrix.
KILLS ?= all

##@ General

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"; printf "Usage: make <target>\n"} \
		/^[a-zA-Z0-9_%-]+:.*?##/ {printf "  %-18s %s\n", $$1, $$2} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Development

.PHONY: manifests
manifests: ## Generate the CRD and the API reference from the types (RBAC is written by hand: config/rbac)
	$(TOOL) controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	go run ./hack/crd config/crd/bases/englog.io_engloginstances.yaml docs/reference/api.md
	go test -count=1 -run TestDefaultsReference ./api/v1alpha1 -update >/dev/null

.PHONY: generate
generate: ## Generate the DeepCopy methods of the types
	$(TOOL) controller-gen object paths=./api/...

.PHONY: fmt
fmt: ## Format the Go sources
	gofmt -s -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: lint
lint: lint-go lint-api lint-workflows lint-shell ## Run every linter

.PHONY: lint-go
lint-go: ## Run golangci-lint over all packages
	$(TOOL) lint run --config .golangci.yml $(call existing,$(PRODUCT) ./hack/... ./test/...)

.PHONY: lint-api
lint-api: ## Run the Kubernetes API linter over api/
	$(if $(wildcard api),$(TOOL) lint run --config .golangci-kal.yml ./api/...,@echo "api/ does not exist yet")

.PHONY: lint-workflows
lint-workflows: ## Run actionlint over the workflows
	$(TOOL) actionlint

.PHONY: lint-shell
lint-shell: ## Run shellcheck over the scripts, where it is installed
	@if command -v shellcheck >/dev/null; then git grep -lIE '^#!.*sh$$' | xargs shellcheck && echo "shellcheck: no findings"; \
	else echo "SKIPPED: shellcheck is not installed (the Debian package has the same name)"; fi

.PHONY: lint-fix
lint-fix: ## Run golangci-lint and apply the fixes it knows
	$(TOOL) lint run --config .golangci.yml --fix $(call existing,$(PRODUCT) ./hack/... ./test/...)

.PHONY: verify-generate
verify-generate: ## Fail when generated files differ from what the sources give
	hack/verify-generate

.PHONY: tools
tools: ## Build the pinned tools into the cache
	$(TOOL) --build

##@ Build

.PHONY: build
build: ## Build the manager, the kubectl plugin and the service into bin/
	@mkdir -p bin
	$(foreach command,$(notdir $(wildcard cmd/*)),go build -ldflags '$(LDFLAGS)' -o bin/$(command) ./cmd/$(command) &&) true

.PHONY: run
run: ## Run the manager on this machine against the current kubeconfig
	go run ./cmd/manager

.PHONY: docker-build
docker-build: ## Build both images with a container engine
	$(CONTAINER_TOOL) build --target manager --build-arg VERSION=$(VERSION) -t $(IMG) .
	$(CONTAINER_TOOL) build --target englog --build-arg VERSION=$(VERSION) -t $(WORKLOAD_IMG) .

##@ Deployment (current kubeconfig)

.PHONY: install
install: manifests ## Install the CRDs
	$(KUBECTL) apply --server-side -k config/crd

.PHONY: uninstall
uninstall: ## Remove the CRDs, and with them every EngLogInstance
	$(KUBECTL) delete --ignore-not-found -k config/crd

.PHONY: deploy
deploy: manifests ## Deploy the operator with its RBAC, running $(IMG)
	$(KUBECTL) kustomize config/default | sed 's|image: controller:latest|image: $(IMG)|' | $(KUBECTL) apply --server-side -f -

.PHONY: undeploy
undeploy: ## Remove the operator, its RBAC and its CRDs
	$(KUBECTL) kustomize config/default | $(KUBECTL) delete --ignore-not-found -f -

##@ Tests

.PHONY: test
test: test-unit test-envtest test-service test-model test-e2e ## Run every test, of the deaths three; without root the real-node part is skipped and says so
	$(MAKE) --no-print-directory test-crash KILLS=$(if $(filter all,$(KILLS)),3,$(KILLS))

.PHONY: test-unit
test-unit: ## Quick tests: tables, architecture, no other processes
	@echo '$(GOTEST) -short (the packages that start no servers)'
	@$(GOTEST) -short $$(go list -f '$(QUICK)' $(UNIT))

.PHONY: test-envtest
test-envtest: ## The operator against a real API server and controller-manager
	$(GOTEST) -timeout 15m $(call existing,./test/envtest/... ./test/validation/... ./test/stores/... ./test/specs/...)

# How long each of the two fuzz tests goes on; SEED is where they begin, and replays what one has printed.
FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: ## Instances at random that the API server accepts, first without a cluster, then on one, FUZZTIME each
	FUZZTIME=$(FUZZTIME) $(GOTEST) -v -timeout 60m ./test/specs
	FUZZTIME=$(FUZZTIME) $(GOTEST) -v -timeout 60m ./test/envtest/fuzz

.PHONY: test-service
test-service: ## The service against a real PostgreSQL and Redis, started privately
	@echo '$(GOTEST) (the packages that use workload/testrig)'
	@$(GOTEST) -timeout 15m $$(go list -f '$(SERVICE)' $(call existing,$(PRODUCT)))
	$(GOTEST) -tags nextrelease -timeout 15m ./workload/testrig/scenario

.PHONY: fuzz-api
fuzz-api: ## Requests made at random from the OpenAPI document, ROUNDS times each operation; SEED repeats a run
	ENGLOG_FUZZ_ROUNDS=$(or $(ROUNDS),200) ENGLOG_FUZZ_SEED=$(SEED) $(GOTEST) -v -timeout 30m -run '^TestTheDocumentHoldsUnderFuzz$$' ./workload/testrig/scenario

.PHONY: test-model
test-model: ## The model checker over the rollout planner
	$(GOTEST) -timeout 15m ./test/model/...
	go run ./test/model/check -schedules $(or $(SCHEDULES),100000)

.PHONY: test-e2e
test-e2e: ## The local cluster, and one cutover under load on it (root on Linux)
	CLUSTER_E2E=1 $(GOTEST) -v -p 1 -timeout 30m ./hack/cluster ./test/e2e/...

.PHONY: test-managed
test-managed: ## Managed stores kept and taken up again, and NetworkPolicies enforced, on the real node (root on Linux)
	$(GOTEST) -v -timeout 15m ./test/e2e/managed

.PHONY: test-crash
test-crash: ## Kill the operator before and after writes of every step, and more, on the real node (root on Linux)
	$(GOTEST) -tags failpoints ./controllers/failpoint
	KILLS=$(KILLS) $(GOTEST) -v -timeout 60m ./test/crash/...

.PHONY: test-gateway
test-gateway: ## Cutovers behind Traefik, as Ingress and as HTTPRoutes, under load (root on Linux)
	$(GOTEST) -v -timeout 40m ./test/gateway/...

.PHONY: test-rotation
test-rotation: ## Rotate each kind of secret under load, on the real node (root on Linux)
	$(GOTEST) -v -timeout 20m ./test/rotation/...

.PHONY: test-adoption
test-adoption: ## Take over an installation of the original manifests under load, by the commands of its how-to (root on Linux)
	$(GOTEST) -v -timeout 30m ./test/adoption/...

.PHONY: test-capacity
test-capacity: ## Autoscalers, shortage of room, checks by query and the production sample with real parts (root on Linux)
	$(GOTEST) -v -timeout 30m ./test/capacity/...

# A benchmark is a directory with Go benchmarks or with a program; one that measures peers is a module of its own.
BENCHES := $(wildcard test/bench/* workload/bench/*)

.PHONY: bench
bench: $(addprefix bench-,$(notdir $(BENCHES))) ## Run every benchmark

# ARGS go to the program: make bench-service ARGS=-short
bench-%: ## Run the benchmark called %
	@dir="$(filter %/$*,$(BENCHES))"; [ -n "$$dir" ] || { echo "no benchmark $*; there are: $(notdir $(BENCHES))" >&2; exit 2; }; \
	cd "$$dir"; if [ -e main.go ]; then go run . $(ARGS); else $(GOTEST) -run '^$$' -bench . -benchmem -timeout 60m ./...; fi

.PHONY: coverage-table
coverage-table: ## Run the tests and write docs/coverage.md: which test shows which row of the requirements; fail when one has none
	go run ./hack/coverage -o docs/coverage.md

.PHONY: coverage-statements
coverage-statements: ## Statement coverage per package, lowest first
	@hack/coverage-table $$(go list -f '$(QUICK)' $(UNIT))

##@ Local cluster and demo

.PHONY: cluster-up
cluster-up: ## Start a real one-node Kubernetes on this machine (CLUSTER=kind uses kind)
	go run ./hack/cluster up

.PHONY: cluster-down
cluster-down: ## Stop it and leave nothing behind
	go run ./hack/cluster down

.PHONY: demo
demo: ## Show a cutover under load in the terminal; the cluster stays for a look around
	go run ./hack/demo

.PHONY: demo-once
demo-once: ## The same without a terminal; the last line is JSON, non-zero exit on any loss
	go run ./hack/demo --once
