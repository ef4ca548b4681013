# Everything a contributor does, each in one word. `make help` lists it.

CARGO      ?= cargo
TARGET_DIR := $(shell $(CARGO) metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
MUSL       := x86_64-unknown-linux-musl
MUSL_ARM   := aarch64-unknown-linux-musl
REAPER     := $(TARGET_DIR)/$(MUSL)/reaper/curfew-reaper
REAPER_ARM := $(TARGET_DIR)/$(MUSL_ARM)/reaper/curfew-reaper

# rust-lld comes with the toolchain, so the aarch64 wrapper needs no cross compiler.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER := rust-lld

.DEFAULT_GOAL := help
.PHONY: help demo test test-chart lint deny bench bench-cluster bench-watch reliability plots reaper images manifests tools cluster playground quickstart cluster-down e2e e2e-images e2e-older fuzz

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Show it: meshed pods hang, go through the webhook, and end (REAL=1: real k6 and Envoy)
	$(CARGO) build --locked -p curfew -p curfew-reaper -p curfew-tests
	$(if $(REAL),real=$$(sh tests/demo/fetch-real.sh) && set -- $$real && )$(TARGET_DIR)/debug/demo \
	  --curfew $(TARGET_DIR)/debug/curfew --reaper $(TARGET_DIR)/debug/curfew-reaper \
	  $(if $(REAL),--real --k6 "$$1" --envoy "$$2")

# Properties are tried on the same cases each time, so that a change is to blame for what fails; `make fuzz` looks for others.
test: export PROPTEST_RNG_SEED := 20260101
test: lint tools reaper ## Run every test: the demo and, as root on Linux, a real Kubernetes among them
	$(CARGO) test --locked --workspace
	$(MAKE) test-chart
	CURFEW_REAPER=$(REAPER) $(CARGO) test --locked -p curfew-reaper
	CURFEW_REAPER=$(REAPER_ARM) CURFEW_REAPER_RUNNER=qemu-aarch64-static $(CARGO) test --locked -p curfew-reaper
	$(MAKE) demo
	$(MAKE) demo REAL=1
	@if [ "$$(id -u)" = 0 ] && [ "$$(uname)" = Linux ]; then \
	  $(MAKE) cluster && env -u KUBECONFIG $(MAKE) e2e; status=$$?; \
	  $(MAKE) cluster-down && [ "$$status" = 0 ] && $(MAKE) e2e-older; \
	else echo "SKIPPED: the end-to-end tests on a real Kubernetes, which need root on Linux"; [ -z "$(E2E_REQUIRED)" ]; fi

test-chart: ## Render the chart and the kustomize overlays in every way, and check what comes out
	sh tests/chart/tool.sh helm >/dev/null && sh tests/chart/tool.sh kustomize >/dev/null
	$(CARGO) test --locked -p curfew-chart --features tools

lint: ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features curfew-e2e/cluster,curfew-chart/tools -- -D warnings

deny: ## Check licences, duplicates and advisories of the dependencies (needs cargo-deny)
	$(CARGO) deny --locked check

bench: tools reaper ## Measure, and write docs/benchmarks.md
	$(CARGO) build --locked --release -p curfew-tests
	$(TARGET_DIR)/release/bench-wrapper --reaper $(REAPER) --out docs/benchmarks.md
	$(CARGO) bench --locked -p curfew --bench admission -- --million
	$(CARGO) bench --locked -p curfew --bench cluster

reaper: ## Build the static in-pod program for amd64 and arm64
	rustup target add $(MUSL) $(MUSL_ARM)
	$(CARGO) build --locked -p curfew-reaper --profile reaper --target $(MUSL) --target $(MUSL_ARM)

images: ## Build the container images as OCI archives
	sh manifests/images/build.sh $(TARGET_DIR)

manifests: ## Render manifests/kustomize/base from the chart
	helm=$$(sh tests/chart/tool.sh helm) && sh manifests/kustomize/render.sh "$$helm" manifests/kustomize/base

cluster: ## Bring up a real one-node Kubernetes (root on Linux; 8 min cold, seconds warm)
	tests/cluster/up.sh

playground: ## Put on it what the README's quick start is typed on: a test mesh, a double of k6-operator, images, helm
	tests/e2e/playground.sh

e2e: ## Run the end-to-end tests on that cluster, or on the one KUBECONFIG names
	tests/e2e/run.sh $(FILTER)

quickstart: ## Type the README's quick start word for word, on such a cluster brought up anew
	tests/e2e/quickstart.sh

e2e-images: ## Build the images these tests need, to push to a registry for another cluster
	tests/e2e/run.sh images

e2e-older: export KUBERNETES_VERSION := v1.34.4
e2e-older: export CURFEW_CLUSTER := $(or $(CURFEW_CLUSTER),curfew)-older
e2e-older: ## Bring up an older Kubernetes, run a few of them there, take it down (5 min more when cold)
	$(MAKE) cluster && env -u KUBECONFIG E2E_SUITE=older $(MAKE) e2e; status=$$?; $(MAKE) cluster-down && exit $$status

fuzz: ## Fuzz the webhook's answers for SECONDS=60, or run one FILE it found (x86_64, Linux; builds libFuzzer)
	tests/fuzz/run.sh

bench-cluster: ## Measure how long a Job takes to end there, and write docs/benchmarks.md
	E2E_BENCH=bench-cluster tests/e2e/run.sh

reliability: ## Disturb Curfew there while pods are made, and write docs/reliability.md (12 min; ARGS='--times 2 …')
	E2E_BENCH=reliability tests/e2e/run.sh $(ARGS)

bench-watch: export KUBECONFIG := /run/$(or $(CURFEW_CLUSTER),curfew)-cluster/kubeconfig
bench-watch: ## Measure what watching 20,000 pods costs there, and write docs/benchmarks.md
	$(CARGO) bench --locked -p curfew --bench watch --no-run
	$(dir $(KUBECONFIG))on-node $(CARGO) bench --locked --offline -p curfew --bench watch

plots: ## Draw the plots of docs/benchmarks.md and docs/reliability.md anew from their tables
	$(CARGO) run --locked -p curfew-tests --bin plots -- docs/benchmarks.md docs/reliability.md

cluster-down: ## Take it down and check that nothing stayed
	tests/cluster/down.sh

# What tests and benchmarks run beside Curfew's own programs. Debian names; elsewhere install them by hand.
tools:
	@missing=; for tool in tini-static:tini wrk:wrk qemu-aarch64-static:qemu-user-static unshare:util-linux \
	  promtool:prometheus; do \
	  command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
	else echo "not installed:$$missing; install them, or run as root on Debian"; exit 1; fi
