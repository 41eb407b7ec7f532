# To try it:
#   make demo      run a gateway on an embedded NATS that plays a recorded market
#   make install   make the runtime environment in .venv, start nothing
#
# Before a commit:
#   make fix       fix what ruff can fix, and format
#   make lint      run ruff, mypy, codespell and the check of the language
#   make unit      run the unit tests (15 s)
#   make coverage  run the tests of the pure rooms, which must cover every branch
#   make docs      run the tests of the documentation
#   make derived   write the files that derive from the table of kinds and from the commands
#   make test      run all tests
#
# When in doubt:
#   make browser   run the browser tests (they need chromium)
#   make fuzz      fuzz each target for FUZZ_SECONDS (60)
#   make mutants   break the fan-out in a dozen ways; its unit tests must notice each
#   make bench     run the benchmarks, or some: make bench SCENARIOS="storm-500 idle"
#   make profile   profile a gateway in a storm of the benchmarks
#
# To tidy up:
#   make lock      pin the requirements again, from pyproject.toml (needs uv)
#   make clean     remove .venv and everything that was built

.DELETE_ON_ERROR:
.PHONY: demo install fix lint unit coverage docs derived test browser fuzz mutants bench profile \
	lock clean

VENV := .venv
BIN := $(VENV)/bin
# An interpreter of the caller's choice goes first: make PYTHON=/path/to/python3.13 demo
SUITABLE := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	"$$python" $(SUITABLE) && echo "$$python" && break; done)

# No version check of pip itself: what is installed is pinned with its hashes. The pins are complete,
# so nothing is resolved: a release of today (of `coverage[toml]`, say, beside its pin) cannot enter.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
# With the backend in place nothing is fetched that the requirements do not pin.
SELF := $(PIP) --no-build-isolation --editable .

demo: $(VENV)/.runtime
	@$(BIN)/percolator serve --demo

test: $(VENV)/.dev
	@$(BIN)/pytest

unit: $(VENV)/.dev
	@$(BIN)/pytest -q tests/unit

browser: $(VENV)/.dev
	@$(BIN)/pytest tests/browser

docs: $(VENV)/.dev
	@$(BIN)/pytest tests/docs

# The rooms without I/O and without a clock, and the tests that are about them alone.
PURE := model fanout projections counts errors fair_queue histogram printable ratelimit redaction stats

coverage: $(VENV)/.dev
	@$(BIN)/pytest -q $(wildcard $(PURE:%=tests/unit/%) $(PURE:%=tests/unit/test_%.py)) \
		$(PURE:%=--cov=percolator.%) --cov-branch --cov-report=term-missing:skip-covered \
		--cov-fail-under=100

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m tests.language

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

derived: $(VENV)/.dev
	$(BIN)/python -m tests.docs.derived
	$(BIN)/python -m percolator_cli.reference docs/cli.md

FUZZ_SECONDS ?= 60

fuzz: $(VENV)/.dev
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

mutants: $(VENV)/.dev
	@$(BIN)/python -m tests.mutants

SCENARIOS ?=

bench: $(VENV)/.dev
	@$(BIN)/python -m tests.benchmarks $(SCENARIOS)

profile: $(VENV)/.dev
	@$(BIN)/python -m tests.benchmarks.profiling

install: $(VENV)/.runtime

# The two stamps: as long as nothing that they depend on has changed, nothing is installed.
$(VENV)/.runtime: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	@echo "Installing percolator into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements.txt -r requirements-build.txt
	@$(SELF)
	@touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing percolator and its development tools into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements-dev.txt
	@$(SELF)
	@touch $@

$(BIN)/python:
	@"$(PYTHON)" $(SUITABLE) || { \
		echo "percolator needs Python 3.11 or newer with its venv module" \
			"(found: $(or $(PYTHON),none on the PATH)):" \
			"install one, or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv on the PATH: install it first." >&2; exit 1; }
	$(COMPILE) --extra dev --group build pyproject.toml -o requirements-dev.txt
	$(COMPILE) -c requirements-dev.txt pyproject.toml -o requirements.txt
	$(COMPILE) -c requirements-dev.txt --group build -o requirements-build.txt

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		tests/artifacts
	find percolator cli tests -type d -name __pycache__ -prune -exec rm -rf {} +
