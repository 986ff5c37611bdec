# `make demo` and `make test` set everything up by themselves: they need Python 3.11+ and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check bench bench-tags bench-qkd interop cassettes pages clean explore

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --upgrade 'pip>=25.1'

$(VENV)/.lab: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e '.[lab]'
	@touch $@

$(VENV)/.dev: $(VENV)/.lab
	$(PIP) install -q -c constraints.txt -e '.[lab]' --group dev
	@touch $@

demo: $(VENV)/.lab  ## Bell test on the twin, with report
	$(BIN)/qlab demo

test: $(VENV)/.dev  ## every check that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered

check: test

explore: $(VENV)/.dev  ## property tests with examples that nobody has tried yet
	QLAB_HYPOTHESIS=explore $(BIN)/python -m pytest -n auto --dist loadfile

bench: $(VENV)/.dev  ## every benchmark, with medians and spreads
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script; done

# Peers of the tag engine, each in if the package index has it for this machine: in a folder of their own, so that they change nothing
# in the environment that is tested.
$(VENV)/.peers: | $(VENV)/.dev
	@for peer in pytimetag tttrlib pycorrelate tomtag; do \
		$(PIP) install -q --no-deps --upgrade --target $(VENV)/peers $$peer || echo "without $$peer: it cannot be installed here"; done
	@touch $@

bench-tags: $(VENV)/.dev $(VENV)/.peers  ## the tag engine beside its peers; `make bench-tags ARGS="--tags 1e6 --rounds 9"`
	PYTHONPATH=$(VENV)/peers $(BIN)/python benchmarks/bench_tags.py $(ARGS)

# Peers of key distillation; `ldpc` imports stim, sinter and pymatching.
$(VENV)/.qkd-peers: | $(VENV)/.dev
	@for peer in ldpc stim sinter pymatching qkdpy; do \
		$(PIP) install -q --no-deps --upgrade --target $(VENV)/qkd-peers $$peer || echo "without $$peer: it cannot be installed here"; done
	@touch $@

bench-qkd: $(VENV)/.dev $(VENV)/.qkd-peers  ## key distillation beside its peers; `make bench-qkd ARGS=0.05`
	PYTHONPATH=$(VENV)/qkd-peers $(BIN)/python benchmarks/bench_qkd_peers.py $(ARGS)

interop: $(VENV)/.dev  ## public drivers that nobody here wrote, on our twins
	$(PIP) install -q -c constraints.txt ThorlabsPM100 S15lib lakeshore pymeasure qcodes toptica-lasersdk qmi qcodes-contrib-drivers srsinst-dg645 pyKDC101
	$(BIN)/python -m pytest tests/interop

cassettes: $(VENV)/.dev  ## record the cassettes of the conformance tests anew, from the twins
	$(BIN)/python -m tests.conformance.cassettes_of_twins

pages: $(VENV)/.dev  ## write docs/instruments, docs/roles.md and docs/verified-facts.md anew
	$(BIN)/python -m qlab.lab.pages docs/instruments
	$(BIN)/python -m qlab.lab.role_table docs/roles.md
	$(BIN)/python -m tests.facts.page

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage qlab-data
