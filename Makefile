# make demo     a gateway on an embedded NATS, with a recorded market playing
# make test     the tests
# make lint     ruff and mypy
# make install  the runtime environment in .venv, nothing started
# make lock     the pinned requirements anew, from pyproject.toml (needs uv)
# make clean    away with .venv and everything that was built

.DELETE_ON_ERROR:
.PHONY: demo test lint install lock clean

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

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

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
