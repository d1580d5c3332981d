# Everything runs from .venv, which the first target that needs it makes. `make help` lists the targets.
# PYTHON=python3.13 picks the interpreter (3.11 or newer).
# TORCH names the torch to install for `make test`. PyPI's Linux wheel carries CUDA (gigabytes); without a GPU take
#   make test TORCH='torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu'
PYTHON ?= python3
TORCH ?= torch==2.13.0
# WORKERS is how many processes run the quick tests; `make test WORKERS=0` runs all of it in one.
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
PACKAGES := bubblewrap chromium redis-server postgresql libgl1

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
PARALLEL := -n $(WORKERS) --maxprocesses=8
# Where a container sets it, each of the many processes that tests start would compile every module again.
export PYTHONDONTWRITEBYTECODE =
# Idle threads of torch that spin take the cores from whatever runs beside them.
export OMP_WAIT_POLICY ?= passive

.PHONY: help setup system model demo check test quick parity bench docs catalogue clean
.DEFAULT_GOAL := help

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 12

setup: .venv/.stamp-dev ## Make .venv with all that development needs, torch apart

system: ## Install the Debian packages that some tests use (as root), or print the line
	@missing=; for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then echo "system: all there"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $$missing; \
	else echo "system: some tests will be skipped without: apt-get install$$missing"; fi

model: .venv/.stamp-local ## Fetch the embedded model (once) into the user cache
	$(BIN)/ponder models get smollm2

demo: model ## The main job: real prompts at growing budgets, the curves, demo-report.html
	$(BIN)/ponder demo

check: .venv/.stamp-dev ## Format, lint, types, meta-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -q tests/meta

test: .venv/.stamp-torch model ## Every test, the quick ones first and in parallel; a stale state file fails
	$(PYTEST) $(PARALLEL) --catalogue=check

quick: .venv/.stamp-dev ## The tests that need neither the embedded model nor torch nor minutes
	$(PYTEST) $(PARALLEL) -m "not embedded and not slow and not torch"

parity: .venv/.stamp-torch ## Our numbers against the fixtures of the papers
	$(PYTEST) tests/parity --parity-table

bench: .venv/.stamp-torch model ## Every script of benchmarks/, one after the other
	@for script in $$(grep -l __main__ benchmarks/*.py); do echo "== $$script"; PYTHONPATH=. $(BIN)/python $$script || exit 1; done

docs: .venv/.stamp-dev ## The site, into site/: a page for each component from its header, and the guides
	$(BIN)/python docs/build.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file build/docs/mkdocs.yml
	@echo "site/index.html"

catalogue: .venv/.stamp-torch model ## Write src/ponder/core/state.json from a test run
	PONDER_STRICT=1 $(PYTEST) $(PARALLEL) --catalogue=write

clean: ## Remove what make made, .venv too
	rm -rf .venv site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("ponder needs Python 3.11: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip

.venv/.stamp-local: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet -e '.[local]'
	touch $@

.venv/.stamp-dev: pyproject.toml .venv/.stamp-local
	$(PIP) install --quiet -e '.[dev]'
	touch $@

.venv/.stamp-torch: pyproject.toml .venv/.stamp-dev
	$(PIP) install --quiet $(TORCH)
	$(PIP) install --quiet -e '.[torch]'
	touch $@
