# The verbs of this repository. CI runs the same ones.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install fmt lint types test test-unit test-lean contract llama-server check bench clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 14

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

test: $(BIN)/burnqed contract llama-server ## every test; installs the embedded Lean if it is missing
	$(BIN)/pytest

test-unit: $(BIN)/burnqed ## the tests that need no Lean, in five minutes
	$(BIN)/pytest -m "not lean"

test-lean: $(BIN)/burnqed ## the tests against the embedded Lean
	$(BIN)/pytest -m lean

# The next two are for tests only. Where they fail, the tests that need them are skipped and say so.
contract: $(BIN)/burnqed ## fetch SGLang's published types, once (40 MB are downloaded, 100 KB stay)
	@$(BIN)/python scripts/fetch_contract.py || echo "contract: tests against SGLang's types will be skipped"

llama-server: $(BIN)/burnqed ## build a llama.cpp server in an environment of its own, once (four minutes)
	@test -f .cache/llama/ready || { \
	  echo "llama-server: building llama.cpp, once" && mkdir -p .cache && $(BIN)/python -m venv --clear .cache/llama && \
	  .cache/llama/bin/pip install --quiet -r constraints/llama.txt && touch .cache/llama/ready; \
	} || echo "llama-server: tests against llama.cpp will be skipped"

check: lint types test ## what a change must pass

bench: $(BIN)/burnqed ## the benchmarks that take minutes; benchmarks/README.md names the longer ones
	$(BIN)/python benchmarks/search_overhead.py
	$(BIN)/python benchmarks/lean_server.py

clean: ## remove what tools left behind; the virtual environment and the runs stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
