# Everything here needs only Python >= 3.11 and make: each target builds .venv from the hash-locked requirements first.
#   make serve          a keyed, streaming OpenAI and MCP endpoint on this machine   (options: ARGS='--port 0 --models models.yaml')
#   make test           all that CI runs: make check, then every test
#   make check          ruff, mypy --strict, import-linter
#   make test-fast      the tests that need no server process
#   make bench          figures: what the application costs to build, beside `import litellm`
#   make lock           resolve the requirement files again (needs `uv`, fetched into .venv)
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# Byte code makes every start two to three times faster; some shells switch it off.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

FIND_PYTHON = for candidate in $${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$candidate"; exit 0; fi; done; \
	echo "zerogate needs Python 3.11 or newer on the PATH (or name one: make PYTHON=/path/to/python3 ...)" >&2; exit 1

.PHONY: help serve test check test-fast bench lock format clean
help:
	@sed -n '2,9s/^# *//p' Makefile

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@python="$$($(FIND_PYTHON))"; \
	echo "Setting up $(VENV) with $$($$python --version) (about a minute, once)"; \
	"$$python" -m venv --clear $(VENV) || { echo "Python's venv module is missing: on Debian or Ubuntu, apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

serve: $(VENV)/.ready
	@exec $(BIN)/zerogate serve $(ARGS)

test: check
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-fast: $(VENV)/.ready
	$(BIN)/python -m pytest tests/unit $(ARGS)

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.ready
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.ready
	$(BIN)/python -m bench $(ARGS)

LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" --quiet
lock: $(VENV)/.ready
	@$(BIN)/python -m venv $(VENV)/lock && $(VENV)/lock/bin/python -m pip install --quiet uv
	PATH="$(CURDIR)/$(VENV)/lock/bin:$$PATH" $(LOCK) --extra server pyproject.toml -o requirements/server.txt
	PATH="$(CURDIR)/$(VENV)/lock/bin:$$PATH" $(LOCK) --extra local --group dev -c requirements/server.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
