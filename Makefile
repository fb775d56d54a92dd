# Everything a developer does here. Needs git, make and Python 3.11 with venv: `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
BENCH := .bench-venv
EXECUTORS := .executors-venv
ARGS ?=

REPO ?=
SAMPLE_PORT ?= 8123
DAGSTER_PORT ?= 3000

.PHONY: help venv lint format test test-all executors soak demo dev pictures bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## Create .venv and install everything into it; once, and again when pyproject.toml changes

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
		{ echo 'Python 3.11 to 3.14 is needed; $(PYTHON) is not. Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo '$(PYTHON) has no venv module; on Debian: apt-get install python3-venv' >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

lint: venv ## Check style, types and the layers of the house
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: venv ## Write the code the way `make lint` wants it
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Beside each other in as many processes as there are cores, one module in one of them: its fixtures are made once. In their
# own order, modules with few tests that take long do not come last, when a process would wait for another one.
PYTEST := $(PY) -m pytest -q -n auto --dist loadscope --no-loadscope-reorder

test: venv ## Run the tests, without the slow ones; ARGS are given to pytest
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: venv ## Run all tests; ARGS are given to pytest
	$(PYTEST) $(ARGS)

soak: venv ## Kill loads at random and compare with a model; ARGS="--kills 1000 --mode scd2" chooses
	$(PY) -m soak $(ARGS)

executors: $(EXECUTORS)/.installed ## Run one code location on every executor, Dask's and Celery's too; takes some minutes
	@command -v redis-server > /dev/null || { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && \
		apt-get install -qq -y redis-server > /dev/null; } || echo 'No redis-server: what needs it is skipped.' >&2
	$(EXECUTORS)/bin/python -m pytest -q tests/executors $(ARGS)

$(EXECUTORS)/.installed: pyproject.toml
	test -x $(EXECUTORS)/bin/python || $(PYTHON) -m venv $(EXECUTORS)
	$(EXECUTORS)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[executors]'
	@touch $@

demo: venv ## Show what this does, on sample data; with REPO=owner/name on a repository of GitHub
	@$(PY) -m definitions.demo $(if $(REPO),--repo '$(REPO)')

# Opens what `make demo` keeps: the same Dagster instance, the same DuckDB file. The sample API takes the place of GitHub
# unless REPO names a repository; the names of the variables are those of the source's arguments.
DEMO := $(CURDIR)/.demo$(if $(REPO),/$(subst /,--,$(REPO)))

dev: venv ## Open Dagster on http://127.0.0.1:3000, over sample data; with REPO=owner/name over GitHub
	@mkdir -p '$(DEMO)/dagster_home'
	@cp definitions/dagster.yaml '$(DEMO)/dagster_home/'
	@$(PY) -m definitions.shop_database '$(DEMO)/shop.sqlite'
	@export SOURCES__SHOP__CREDENTIALS='sqlite:///$(DEMO)/shop.sqlite'; \
	export DAGSTER_HOME='$(DEMO)/dagster_home' DESTINATION__DUCKDB__CREDENTIALS='$(DEMO)/github.duckdb'; \
	if [ -n '$(REPO)' ]; then \
		export SOURCES__GITHUB__BASE_URL=https://api.github.com SOURCES__GITHUB__REPO_NAME='$(REPO)'; \
		if [ -n "$${GITHUB_TOKEN:-}" ]; then export SOURCES__GITHUB__ACCESS_TOKEN="$$GITHUB_TOKEN"; fi; \
	else \
		$(PY) -m dlt_orchestrate.testing.sample_api --port $(SAMPLE_PORT) & \
		trap "kill $$! 2> /dev/null || true" EXIT; \
		export SOURCES__GITHUB__BASE_URL=http://127.0.0.1:$(SAMPLE_PORT) SOURCES__GITHUB__REPO_NAME=acme/teahouse \
			SOURCES__GITHUB__ACCESS_TOKEN=sample-token; \
	fi; \
	PYTHONWARNINGS='ignore:Function `dev_command` is superseded' \
		$(VENV)/bin/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(DAGSTER_PORT)

pictures: venv ## Take the pictures of docs/images anew, in chromium; takes some minutes
	$(PY) docs/pictures/take.py $(ARGS)

bench: $(BENCH)/.installed ## Compare with dlt, in turn, as whole processes; ARGS="flat --records 1000000" chooses
	$(BENCH)/bin/python -m benchmarks $(ARGS)

$(BENCH)/.installed: pyproject.toml
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

clean: ## Remove caches, builds and what `make demo` and `make dev` have loaded
	rm -rf build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
