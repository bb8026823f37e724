# The verbs of this repository. CI runs the same ones.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install fmt lint types test test-unit test-lean check bench clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

$(BIN)/burnqed:
	$(MAKE) install

install: ## make the virtual environment, with everything pinned
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints/dev.txt -e '.[dev]'

fmt: $(BIN)/burnqed ## format, and repair what can be repaired
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: $(BIN)/burnqed ## formatting and lint
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(BIN)/burnqed ## mypy, strict
	$(BIN)/mypy

test: $(BIN)/burnqed ## every test; installs the embedded Lean if it is missing
	$(BIN)/pytest

test-unit: $(BIN)/burnqed ## the tests that need no Lean, in three minutes
	$(BIN)/pytest -m "not lean"

test-lean: $(BIN)/burnqed ## the tests against the embedded Lean
	$(BIN)/pytest -m lean

check: lint types test ## what a change must pass

bench: $(BIN)/burnqed ## the benchmarks that take minutes; benchmarks/README.md names the longer ones
	$(BIN)/python benchmarks/search_overhead.py
	$(BIN)/python benchmarks/lean_server.py

clean: ## remove what tools left behind; the virtual environment and the runs stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
