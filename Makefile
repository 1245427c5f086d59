# The front door for people. Everything that it needs, it installs: see deploy/setup.
cache := $(or $(VOXAGE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/voxage)
export PATH := $(cache)/tools/bin:$(PATH)

.PHONY: help setup build demo test lint check-deploy bench-extract bench-loader bench-steps bench-models docs-report bench-trees bench-networks bench-gpu bench-scale bench-serve check-export check-upgrade chaos fuzz clean

data := $(or $(VOXAGE_DATA),../shared/data)

help:
	@echo "make demo                      the main job on a small synthetic data set"
	@echo "make demo DATA=recordings.csv  the same on your own recordings"
	@echo "make test                      everything that CI checks"
	@echo "make bench-extract             the extractor's speed beside librosa's and Praat's"
	@echo "make bench-loader              the loader's speed beside LitData's, pyarrow's, MosaicML's and WebDataset's"
	@echo "make bench-steps               the training step's speed beside PyTorch's"
	@echo "make bench-networks            the training step's time of every network"
	@echo "make bench-gpu                 samples a second on a GPU, beside PyTorch"
	@echo "make bench-models SEEDS=3      every model and setting on the same folds; goes on where it was"
	@echo "make docs-report               docs/report.html and its picture, of these"
	@echo "make bench-trees               trees on the same folds, and blended with the default"
	@echo "make bench-scale               planning, dispatch and workers at scale, on servers of its own"
	@echo "make bench-serve               latency and throughput of predictions over HTTP"
	@echo "make check-export              exported networks beside voxage, in PyTorch and onnxruntime"
	@echo "make check-upgrade OLD=COMMIT  this version and an older one side by side on one queue"
	@echo "make check-deploy              container files, compose file, Helm chart and systemd unit, by their tools"
	@echo "make chaos                     the tests of faults, three times, on batches five times as large"
	@echo "make fuzz MINUTES=60           look for files that break the extractor"
	@echo "make build                     voxage and voxage-trainer, optimised"

setup:
	@deploy/setup

build: setup
	cargo build --release --locked --workspace --bins

demo: build
	@deploy/demo "$(DATA)"

# Formatting, lints, licences, fences and the files for production.
lint:
	@deploy/setup test
	cargo fmt --all --check
	cargo fmt --manifest-path workers/extract/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo deny --locked --offline --workspace check bans licenses sources
	deploy/fences
	deploy/check

# What is checked of what is for production; nothing of it is built or started.
check-deploy:
	@deploy/setup test
	@deploy/check

# All targets at once: alone, the commands would be built a second time.
test: lint
	cargo build --locked --workspace --all-targets
	VOXAGE_PYTHON=$$(deploy/venv tests/python/requirements.txt) VOXAGE_WEIGHTS=$$(deploy/weights) \
	  VOXAGE_BROWSER=$$([ -x /usr/bin/chromium ] && deploy/venv tests/python/browser.txt) \
	  cargo nextest run --locked --workspace --no-fail-fast
	# What processors without AVX run.
	cargo nextest run --locked -p voxage-extract --features portable --test golden

# On the recordings in VOXAGE_DATA; close everything else first.
bench-extract: setup
	cargo build --release --locked --workspace --example bench
	@$$(deploy/venv tests/bench/requirements.txt) tests/bench/extract.py \
	  $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/examples/bench "$(data)"

# Makes 8,192 voices in the cache, once; close everything else first.
bench-loader: setup
	@deploy/servers/s3 install >/dev/null
	cargo build --release --locked --workspace --bins --example loader
	@target=$$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])') && \
	  $$(deploy/venv tests/bench/loader-requirements.txt) tests/bench/loader.py $$target/release/examples/loader $$target/release/voxage "$(or $(RECORDINGS),8192)" "$(cache)/bench-loader"

# Its servers are its own; RECORDINGS (5000000) are planned.
bench-scale: setup
	@deploy/setup test
	cargo build --release --locked --workspace --bins
	@tests/bench/scale.py "$(or $(RECORDINGS),5000000)"

# The training step on the processor, beside PyTorch's.
bench-steps: setup
	cargo build --release --locked --workspace --example steps
	@$$(deploy/venv tests/bench/loader-requirements.txt) tests/bench/steps.py \
	  $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/examples/steps

# Predictions over HTTP, clients on the same machine.
bench-serve: build
	@tests/bench/serve.py $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/voxage

# On the recordings in VOXAGE_DATA; hours. What is done is kept in the cache.
bench-models: build
	@VOXAGE_WEIGHTS=$$(deploy/weights) tests/bench/models.py $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/voxage \
	  "$(data)" "$(cache)/bench-models" --seeds "$(or $(SEEDS),3)"

# docs/report.html and its picture, of a study of bench-models, which must have been run.
docs-report: build
	@deploy/setup test
	@$$(deploy/venv tests/python/browser.txt) tests/bench/report.py $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/voxage \
	  "$(cache)/bench-models" docs

# Trees on the folds of bench-models, which must have been run.
bench-trees: build
	@$$(deploy/venv tests/bench/trees.txt) tests/bench/trees.py $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/voxage \
	  "$(cache)/bench-models"

# The training step of every network on the processor.
bench-networks: setup
	cargo run --release --locked -p voxage-trainer --example architectures -- 2 $(ARGS)

# PYTHON (python3) has PyTorch 2.11 with CUDA; without a GPU, ARGS="--device cpu --batch 32 --steps 10" tries it.
bench-gpu: setup
	cargo build --release --locked --workspace --bins --example inputs
	@target=$$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])') && \
	  $(or $(PYTHON),python3) tests/bench/gpu.py $$target/release/examples/inputs $$target/release/voxage "$(cache)/bench-loader" $(ARGS)

# Exported networks beside voxage, in PyTorch and onnxruntime.
check-export: build
	@$$(deploy/venv tests/oracle/export.txt) tests/oracle/export.py \
	  $$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/voxage

# This version and that of the commit OLD on one queue and one store.
check-upgrade:
	@deploy/setup test
	VOXAGE_OLD=$$(deploy/old "$(or $(OLD),HEAD~1)") cargo nextest run --locked --workspace -E 'binary(upgrade)'

chaos:
	@deploy/setup test
	cargo build --locked --workspace --all-targets
	for round in 1 2 3; do \
	  VOXAGE_TEST_CHAOS=5 cargo nextest run --locked --workspace --no-fail-fast --profile chaos || exit 1; done

# Not part of `test`: it finds something new, or nothing, each time.
fuzz: setup
	MINUTES="$(MINUTES)" deploy/fuzz

clean:
	rm -rf work
