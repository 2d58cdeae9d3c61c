# The tasks for developers and CI. `make` lists them.

CARGO ?= cargo
SHELL := bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The test binaries: a folder with a main.rs, or a file.
# Those on a real node have a target of their own.
TESTS := $(filter-out e2e,$(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))) \
  $(basename $(notdir $(wildcard tests/*.rs crates/*/tests/*.rs)))

.PHONY: help demo test test-all-but-chart test-chart e2e e2e-figures soak build image image-test arm64 bench bench-fleet fuzz lint deny advisories controlplane promtool clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Show podseal correct and deny real job pods; requires Rust, no cluster
	$(CARGO) build --locked --package podseal --package podseal-demo
	@$(TARGET)/debug/podseal-demo

test: test-all-but-chart test-chart ## Run all tests, against a real API server; requires Rust and Go

test-all-but-chart: controlplane promtool
	$(CARGO) test --locked --workspace --lib --bins $(addprefix --test ,$(filter-out chart,$(TESTS)))

# These tests mostly wait for a cluster, so more threads than processors help.
test-chart: controlplane promtool
	$(CARGO) test --locked --workspace --test chart -- --test-threads 4

e2e: ## Run the tests on a real node with containerd; requires Debian, root, Rust and Go
	@.ci/e2e

e2e-figures: ## Measure on a real node what docs/measurements.md says of one
	@NODE_ON_DISK=1 .ci/e2e --ignored --nocapture figures::

soak: controlplane ## Run the tests of faults and outages for longer (SOAK_SECONDS, SOAK_FACTOR, SOAK_SEED)
	SOAK_FACTOR=$${SOAK_FACTOR:-20} SOAK_SECONDS=$${SOAK_SECONDS:-600} \
	  PODSEAL_TEST_OUTAGE_SECONDS=$${PODSEAL_TEST_OUTAGE_SECONDS:-60} \
	  $(CARGO) test --locked --test load -- --nocapture churn:: faults:: outages:: hostile_clients:: killed::

build: ## Build the release binary
	$(CARGO) build --release --locked

image: ## Build the container image with ENGINE: docker (default), podman or buildah
	$(or $(ENGINE),docker) build --build-arg REVISION="$$(git rev-parse HEAD)" \
	  --tag "podseal:$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)" .

image-test: ## Build the image with buildah on a test base, and check it; requires Debian and root
	@.ci/image

arm64: ## Build the image for arm64, and compare its answers under emulation; requires Debian and root
	@.ci/arm64

# Cargo builds the binary for benches with features that only test crates require, so
# this measures a copy of the release binary.
bench: build $(if $(BASELINE),,controlplane) ## Measure decisions and serving; BASELINE=PATH compares with another podseal
	@mkdir -p $(TARGET)/measured && cp $(TARGET)/release/podseal $(TARGET)/measured/podseal
	@.ci/oha --version
	BENCH_PODSEAL=$(abspath $(TARGET))/measured/podseal BENCH_BASELINE=$(abspath $(BASELINE)) \
	  $(CARGO) bench --locked $(if $(BASELINE),,--bench review) --bench serving

bench-fleet: build controlplane ## Measure a large fleet; ARGUMENTS="--seconds 20" and others make it shorter
	@mkdir -p $(TARGET)/measured && cp $(TARGET)/release/podseal $(TARGET)/measured/podseal
	BENCH_PODSEAL=$(abspath $(TARGET))/measured/podseal $(CARGO) bench --locked --bench fleet -- $(ARGUMENTS)

controlplane: ## Build the API server, etcd and kubectl for the tests, once
	@tests/controlplane/build.sh >/dev/null

promtool: ## Build promtool for the tests, once
	@tests/promtool/build.sh >/dev/null

fuzz: ## Run each fuzz target for FUZZ_SECONDS (default 20); requires a C++ compiler
	@.ci/fuzz

lint: ## Check format, clippy and documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}" --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

deny: ## Check the licences, bans and sources of dependencies
	@.ci/cargo-deny check bans licenses sources
	@.ci/cargo-deny --manifest-path fuzz/Cargo.toml --config deny.toml check bans sources

advisories: ## Check dependencies against the RustSec database; requires the Internet
	@.ci/cargo-deny check advisories

clean: ## Remove build output
	$(CARGO) clean
