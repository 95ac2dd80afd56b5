# The two commands: `make run` to look around, `make test` to know that all is well.
.PHONY: run test lint soak bench schema pages build-release

# Extra arguments: make run ARGS="--visitors 0 --listen 127.0.0.1:9000"
run:
	@scripts/setup.sh build
	cargo build --profile demo --locked --bin tally
	exec target/demo/tally demo $(ARGS)

build-release:
	@scripts/setup.sh build
	cargo build --release --locked --bin tally

test:
	@scripts/setup.sh test
	scripts/in_memory.sh scripts/mariadb.sh scripts/postgres.sh cargo test --locked --workspace
	scripts/pages.sh target/debug/tally
	scripts/conformance.sh target/debug/tally

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

# Long random schedules; TALLY_TEST_SOAK multiplies their rounds, and the random requests.
soak:
	@scripts/setup.sh test
	TALLY_TEST_SOAK=$${TALLY_TEST_SOAK:-20} scripts/in_memory.sh scripts/postgres.sh cargo test --locked --test it -- chaos model hotness simulation forgetting --nocapture
	cargo build --locked --bin tally
	SOAK=$${TALLY_TEST_SOAK:-20} scripts/conformance.sh target/debug/tally validation fuzz

BENCHES = likes points subscribers gate startup ranking outbox views recalculate check audit

bench:
	@scripts/setup.sh test
	ulimit -n 16384 && scripts/postgres.sh cargo bench --locked $(BENCHES:%=--bench %)

# What is generated and committed.
schema:
	cargo run --locked --quiet --bin tally -- schema > schema.graphql

pages:
	npm --prefix web ci --no-audit --no-fund
	npm --prefix web run build
