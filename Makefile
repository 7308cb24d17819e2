# The two commands of the README, `make demo` and `make test`, and those of a contributor.
# The work is done elsewhere: .ci/venv.sh makes .venv, recipes/demo/run.sh is the demo.

RUN ?= runs/demo
PYTHON := .venv/bin/python
READY := .venv/.complete

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint lock clean
export UV_HTTP_TIMEOUT ?= 300
# Keep compiled modules even where the environment says not to: without them every start takes three times as long.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 14
	@echo "Variables: make demo DATA=folder/of/sounds RUN=runs/name SEED=1; make test ARGS='-k codec'; BASE_PYTHON=python3.11"

setup: $(READY) ## Make .venv from requirements.lock; the other targets do it by themselves

demo: $(READY) ## Train, generate and score on synthetic sounds or on those in DATA; report in RUN
	PYTHON="$(PYTHON)" bash recipes/demo/run.sh --run "$(RUN)" $(if $(DATA),--data "$(DATA)") $(if $(SEED),--seed "$(SEED)")

test: $(READY) ## Run the tests: no network, no GPU
	$(PYTHON) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --durations=15 $(ARGS)

lint: $(READY) ## Style, types and import rules
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

lock: $(READY) ## Compile requirements.lock again from pyproject.toml; ARGS=--upgrade for newer versions
	$(PYTHON) -m uv pip compile pyproject.toml --extra dev --output-file requirements.lock --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate --quiet $(ARGS)

clean: ## Remove .venv and the caches; runs/ stays
	rm -rf .venv .venv.broken build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml requirements.lock
	@bash .ci/venv.sh
