# Two commands are enough on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# make conformance SUITES="nn pipeline" SAMPLE=5 ARGS="-k softmax"
HARNESS ?= ../shared/conformance
SUITES ?= nn
# make test WORKERS=0 for one process, ARGS="tests/cli -k forget"; four at most, each takes a gigabyte
WORKERS ?= auto
SAMPLE ?= 0
ARGS ?=
CONFORMANCE := build/conformance

# make fuzz SECONDS=600 SEED=7 ONLY=pooling; ROUNDS= bounds the cases, so that they are the same on every machine
SECONDS ?= 60
ROUNDS ?=
SEED ?= 0
ONLY ?=

# make faults KILLS=20 WORKER_KILLS=10 UPDATES=4 DAEMON_KILLS=20
KILLS ?= 200
WORKER_KILLS ?= 100
UPDATES ?= 20
DAEMON_KILLS ?= 200

# The digits and the updatable model of make federated
MODELS ?= ../shared/models
FEDERATED := build/federated

.PHONY: help demo test lint bench bench-smallest fuzz faults conformance federated clean

help:
	@echo "make demo         teach a drawing classifier new digits, from an empty machine (under a minute once installed)"
	@echo "make test         the tests, on all cores (WORKERS=, ARGS=)"
	@echo "make lint         ruff, mypy --strict, import contracts"
	@echo "make bench        every program in benchmarks/; make bench-smallest: whether each of them still runs, a few minutes"
	@echo "make fuzz         spoils small models and runs them, and files of records and reads them, a minute each (SECONDS=, ROUNDS=, SEED=, ONLY=)"
	@echo "make faults       kills trainings, worker processes and a daemon with SIGKILL at random moments (KILLS=200, WORKER_KILLS=100, UPDATES=20, DAEMON_KILLS=200, SEED=)"
	@echo "make conformance  coremltools' own tests with tailor behind them (SUITES=, SAMPLE=, ARGS=)"
	@echo "make federated    the Flower example and its test, in an environment of its own"
	@echo "make clean        what the commands above made, the environment too"

demo: $(VENV)/demo.stamp
	$(BIN)/python examples/demo.py

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal --ignore tests/test_benchmarks.py $(ARGS)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy -p tailor
	$(BIN)/lint-imports

bench-smallest: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal tests/test_benchmarks.py

bench: $(VENV)/peers.stamp
	@set -e; for program in benchmarks/*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

fuzz: $(VENV)/test.stamp
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ROUNDS:%=--rounds %) --seed $(SEED) --only '$(ONLY)'
	$(BIN)/python -m tests.fuzz.records --seconds $(SECONDS) $(ROUNDS:%=--rounds %) --seed $(SEED)

faults: $(VENV)/test.stamp
	$(BIN)/python -m tests.faults --kills $(KILLS) --worker-kills $(WORKER_KILLS) --updates $(UPDATES) --daemon-kills $(DAEMON_KILLS) --seed $(SEED)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "tailor needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
	    || { rm -rf $(VENV); echo "the venv module is missing: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }

# The stamps are newer than pyproject.toml when what it asks for is installed; only a change there installs again.
$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,test]'
	@touch $@ $(VENV)/demo.stamp

# PyTorch and coremltools, which benchmarks and some tests compare with.
$(VENV)/peers.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,test,peers]'
	@touch $@ $(VENV)/demo.stamp $(VENV)/test.stamp

# The harness pins NumPy 1.26 and old converters, so it has an environment of its own, and writes beside itself, so it is copied.
conformance:
	@if [ ! -d "$(HARNESS)" ]; then echo "conformance: skipped, $(HARNESS) is absent"; else $(MAKE) --no-print-directory $(CONFORMANCE)/run; fi

.PHONY: $(CONFORMANCE)/run
$(CONFORMANCE)/run: $(CONFORMANCE)/venv/installed.stamp
	mkdir -p $(CONFORMANCE)/harness
	@: > $(CONFORMANCE)/pytest.ini # so that pytest does not find this project's strict settings further up
	cp -R "$(HARNESS)"/. $(CONFORMANCE)/harness/
	chmod -R u+w $(CONFORMANCE)/harness
	$(CONFORMANCE)/venv/bin/python $(CONFORMANCE)/harness/suites.py $(SUITES) --sample $(SAMPLE) \
	    --backend backends.with_tailor:predict --label tailor -- $(ARGS)
	cd $(CONFORMANCE)/harness && ../venv/bin/python summarize.py --failures $(SUITES:%=results/tailor/%.jsonl)

$(CONFORMANCE)/venv/installed.stamp: $(HARNESS)/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(CONFORMANCE)/venv
	$(CONFORMANCE)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$(HARNESS)/requirements.txt"
	$(CONFORMANCE)/venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# Flower holds typer, rich and protobuf to older versions than the other tests are run with.
federated: $(FEDERATED)/installed.stamp
	$(FEDERATED)/venv/bin/python -m pytest tests/test_federated.py
	@if [ -d "$(MODELS)" ]; then $(FEDERATED)/venv/bin/python examples/federated_flower.py $(MODELS)/MNIST_Model.mlmodel $(MODELS)/mnist_test_10k.npz; fi

$(FEDERATED)/installed.stamp: pyproject.toml
	$(PYTHON) -m venv $(FEDERATED)/venv
	$(FEDERATED)/venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[federated,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
