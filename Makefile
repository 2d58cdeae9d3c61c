# Everything a person or CI runs. `make` alone lists it.

CARGO ?= cargo
SHELL := bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The test binaries: a folder with a main.rs, or a file.
TESTS := $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)) \
  $(basename $(notdir $(wildcard tests/*.rs crates/*/tests/*.rs)))

.PHONY: help demo test test-all-but-chart test-chart soak build image image-test bench fuzz lint deny advisories controlplane promtool clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## See podseal correct and deny real job pods; needs Rust, no cluster
	$(CARGO) build --locked --package podseal --package podseal-demo
	@$(TARGET)/debug/podseal-demo

test: test-all-but-chart test-chart ## Run every test, against a real API server; needs Rust and Go

test-all-but-chart: controlplane promtool
	$(CARGO) test --locked --workspace --lib --bins $(addprefix --test ,$(filter-out chart,$(TESTS)))

# Its tests wait for a cluster more than they compute.
test-chart: controlplane promtool
	$(CARGO) test --locked --workspace --test chart -- --test-threads 4

soak: controlplane ## Run the faults for long: restarts, floods and an outage of a minute
	SOAK_FACTOR=$${SOAK_FACTOR:-20} PODSEAL_TEST_OUTAGE_SECONDS=60 \
	  $(CARGO) test --locked --test load -- --nocapture faults:: outages:: hostile_clients::

build: ## Build the release binary
	$(CARGO) build --release --locked

image: ## Build the container image with ENGINE: docker (default), podman or buildah
	$(or $(ENGINE),docker) build --build-arg REVISION="$$(git rev-parse HEAD)" \
	  --tag "podseal:$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)" .

image-test: ## Build the image with buildah on a stand-in base, and check it; Debian, as root
	@.ci/image

# The binary that cargo builds along with a bench has features that only the
# tests' crates ask for, so the one that users get is kept aside.
bench: build $(if $(BASELINE),,controlplane) ## Measure the decision and serving; BASELINE=PATH compares with that podseal
	@mkdir -p $(TARGET)/measured && cp $(TARGET)/release/podseal $(TARGET)/measured/podseal
	@.ci/oha --version
	BENCH_PODSEAL=$(abspath $(TARGET))/measured/podseal BENCH_BASELINE=$(abspath $(BASELINE)) \
	  $(CARGO) bench --locked $(if $(BASELINE),,--bench review) --bench serving

controlplane: ## Build the API server, etcd and kubectl that the tests run, once
	@tests/controlplane/build.sh >/dev/null

promtool: ## Build the promtool that the tests run, once
	@tests/promtool/build.sh >/dev/null

fuzz: ## Run the fuzz targets for FUZZ_SECONDS (20) each; needs a C++ compiler
	@.ci/fuzz

lint: ## Check the format, clippy and the documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}" --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

deny: ## Check licences, bans and sources of the dependencies
	@.ci/cargo-deny check bans licenses sources
	@.ci/cargo-deny --manifest-path fuzz/Cargo.toml --config deny.toml check bans sources

advisories: ## Check the dependencies against the RustSec database; needs the Internet
	@.ci/cargo-deny check advisories

clean: ## Remove what was built
	$(CARGO) clean
