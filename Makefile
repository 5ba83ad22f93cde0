# Two commands are the whole set-up: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
SERVERS := $(PYTHON) deploy/local/servers.py
CARGO ?= cargo
BINARY := target/release/assay
# What `assay --version` says was built.
export ASSAY_COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
# Where the tests start servers of their own, which some of them kill.
TEST_SERVERS := .local/test .local/chaos .local/bench .local/soak .local/clients .local/deploy .local/roles
on_test_servers = for folder in $(TEST_SERVERS); do [ ! -d $$folder ] || $(SERVERS) $(1) --dir $$folder; done

# For the packages whose own tests ask PostgreSQL.
on_a_database = ASSAY_TEST_DATABASE_URL="$$(. .local/test/env && echo "$$ASSAY__DATABASE__URL")" ASSAY_TEST_DECODER="$(CURDIR)/target/release/assay-decoder"

.PHONY: help toolchain build up down demo demo-retrain demo-review test conformance chaos bench gpu-check fuzz schemas screenshots image-root deploy-check clients-check console-check docs-check \
  observability-check check fmt lint doc deny clean

help:          ## this list
	@grep -hE '^[a-z-]+: *.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 21

toolchain:     ## what the build needs beside Rust: Debian's cmake, nasm, …, libheif for HEIC, and libtorch under .local/
	@$(SERVERS) build-packages
	@$(PYTHON) deploy/local/libtorch.py

build: toolchain  ## the binaries, optimised: assay, assay-decoder and assay-decoder-heif in target/release
	$(CARGO) build --release --locked

up:            ## RabbitMQ, PostgreSQL and an S3 server on loopback; settings in .local/env
	@$(SERVERS) up

down:          ## stop them, and those of the tests
	@$(PYTHON) deploy/demo/console.py stop; $(call on_test_servers,down); $(SERVERS) down

demo: build up ## the main job on real servers, with real and generated images
	@$(PYTHON) deploy/demo/demo.py

demo-retrain: build up ## labels become a better model that judges again, a spoiled one is refused: a few minutes
	@$(PYTHON) deploy/demo/retrain.py

demo-review: build up ## people review what is uncertain, and an appeal is overturned, in Debian's Chromium: two minutes
	@$(PYTHON) deploy/demo/review.py

screenshots: build  # the pictures in the documents; installs Debian's Chromium
	@$(PYTHON) deploy/demo/screenshots.py

test: toolchain conformance observability-check  ## everything that can fail: unit, contract, crash and conformance tests, and a short chaos
	@trap '$(call on_test_servers,down)' EXIT; $(SERVERS) up --pooler --dir .local/test --base-port $${ASSAY_TEST_BASE_PORT:-21800} >/dev/null && \
	$(PYTHON) crates/access/tests/prepare.py && $(on_a_database) $(CARGO) test --release --locked && \
	$(PYTHON) -m unittest discover -q -s chaos && $(PYTHON) chaos/run.py --short --assay $(BINARY) && \
	$(PYTHON) tests/deploy/run.py --assay $(BINARY) && $(PYTHON) tests/roles/run.py --assay $(BINARY) && $(MAKE) --no-print-directory clients-check docs-check

clients-check:  # the clients against a real broker and worker, the examples by their schemas, docs/asyncapi.yaml
	@$(PYTHON) -W ignore::ResourceWarning -m unittest discover -q -s clients && $(PYTHON) clients/documents.py --check

console-check:  # the console's pages in a real browser, by keyboard and by axe-core; installs Debian's Chromium
	@$(PYTHON) crates/console/check/run.py

docs-check:    # each command in the documents exists, each link leads somewhere
	@$(PYTHON) docs/check.py --assay $(BINARY)

schemas: build  ## docs/schemas from the types, and the clients' types from these
	@$(BINARY) schema --out docs/schemas && $(PYTHON) clients/documents.py

chaos: build   ## breaks everything under load and counts what is lost: 50 minutes; CHAOS="--short", "--only FAULT --seed N"
	@$(PYTHON) chaos/run.py --assay $(BINARY) $(CHAOS)

conformance: toolchain  ## PyTorch's and Pillow's own answers, for the conformance tests
	@$(PYTHON) tests/conformance/prepare.py target/conformance

observability-check:  ## dashboard, alerts and their unit tests by Prometheus' own promtool
	@$(PYTHON) deploy/observability/check.py

bench: toolchain  ## ours beside PyTorch, Pillow and a Python worker; BENCH="--only decode --quick" for a part of it
	@CARGO="$(CARGO)" $(PYTHON) benches/run.py $(BENCH)

gpu-check: toolchain  ## on a machine with an NVIDIA card: answers, speed, failures; GPU="--python PYTHON-WITH-TORCH", "--device cpu --quick" to rehearse
	@CARGO="$(CARGO)" $(PYTHON) benches/gpu_check.py $(GPU)

fuzz: toolchain  ## every reader of strangers' bytes for a minute each; SECONDS_EACH=600 for longer, TARGETS="png webp" for some
	@command -v cargo-fuzz >/dev/null || { echo "make fuzz needs a nightly Rust and cargo-fuzz: cargo install cargo-fuzz"; exit 1; }
	@# With clang (and libclang-rt-dev) the fuzzer sees into the C decoders too.
	@cd fuzz && $(CARGO) +nightly run --quiet --bin seeds
	@set -e; if command -v clang >/dev/null; then export CC=clang CFLAGS=-fsanitize=fuzzer-no-link; fi; \
	for target in $(or $(TARGETS),$$(cd fuzz/fuzz_targets && ls *.rs | sed 's/\.rs//')); do \
	  $(CARGO) +nightly fuzz run $$target -- -max_total_time=$(or $(SECONDS_EACH),60) -max_len=65536 -rss_limit_mb=2048 -timeout=20 -print_final_stats=1; done

image-root: build  ## the image's files in target/image-root, as the Dockerfile has them, and their bill of materials
	@$(PYTHON) deploy/docker/image_root.py && $(PYTHON) deploy/docker/sbom.py

deploy-check: build  ## image, bill of materials and manifests: run, linted, held against schemas and the binary
	@$(PYTHON) tests/deploy/run.py --assay $(BINARY)

check: fmt lint doc deny  ## what a reviewer would say first

fmt:
	$(CARGO) fmt --check

lint: toolchain
	$(CARGO) clippy --release --locked --all-targets -- -D warnings

doc: toolchain
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps --workspace --lib --document-private-items

deny:          ## known vulnerabilities, licences, bans and sources of the dependencies
	@CARGO="$(CARGO)" $(PYTHON) deploy/local/deny.py

clean:         ## stop the servers and delete what was built and stored
	-@$(call on_test_servers,wipe); $(SERVERS) wipe
	$(CARGO) clean
