# Every target does its own set-up. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
NODE_STAMP := $(VENV)/.node-installed
SOURCES := src tests tools
TEST_ARGUMENTS ?=
# Modules are compiled once, not by each of the many processes of a run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo serve viewer test check format bench e2e docs peers clean

help: ## list the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The reading workspace is built beside the start; until it is there, reading pages show rendered images.
demo: $(RUN_STAMP) ## start everything with a hospital that plays itself
	@nice $(MAKE) --no-print-directory viewer >$(VENV)/viewer-build.log 2>&1 &
	@$(BIN)/isocenter demo $(DEMO_ARGUMENTS)

serve: $(RUN_STAMP) viewer ## start everything and wait for real peers
	@$(BIN)/isocenter serve

viewer: $(NODE_STAMP) ## build the reading workspace where its sources have changed
	@$(BIN)/python -m tools.viewer build

test: $(DEV_STAMP) viewer peers ## all tests, on the embedded and on a system PostgreSQL
	@tools/test $(TEST_ARGUMENTS)

check: $(DEV_STAMP) ## format, lint, types, import contracts, own lints
	@tools/check

format: $(DEV_STAMP) ## rewrite the sources in the one format
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix --quiet $(SOURCES)
	@$(BIN)/python -m tools.viewer format

bench: $(DEV_STAMP) peers ## measure beside the peers and print the ratios
	@$(BIN)/python -m tools.bench

e2e: $(DEV_STAMP) viewer peers ## the whole story with independent peers and a browser
	@$(BIN)/pytest tests/e2e $(TEST_ARGUMENTS)

docs: $(DEV_STAMP) ## check the documents and write the generated parts anew
	@$(BIN)/python -m tools.documents

peers: ## the tests' independent peers, from the system's packages when root
	@tools/peers

clean: ## remove what these targets made
	@rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache tests/peers/node_modules viewer/node_modules src/isocenter/gateways/web/static/viewer

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Isocenter needs Python 3.11 or later; 'make PYTHON=/path/to/python3.11 …' chooses one." >&2; exit 1; }
	@echo "Setting up $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(VENV)/pyvenv.cfg requirements.lock pyproject.toml
	@echo "Installing the locked dependencies (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP) requirements-dev.lock
	@echo "Installing the locked tools for development (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $@

$(NODE_STAMP): $(RUN_STAMP) requirements-viewer.lock
	@echo "Installing Node to build the reading workspace (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-viewer.lock
	@touch $@
