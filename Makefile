# Everything here needs only Python >= 3.11 and make: each target builds .venv from the hash-locked requirements first.
#   make serve          a keyed, streaming OpenAI and MCP endpoint on this machine   (options: ARGS='--port 0 --models models.yaml')
#   make test           all that CI runs: make check, then every test
#   make check          ruff, mypy --strict, import-linter
#   make test-fast      the tests that need no server process
#   make bench          figures: start-up, cold starts of the artifact, streaming
#   make build          what Lambda runs: build/lambda-<arch> and its zip (ARCH=arm64|x86_64 RUNTIME=python3.13 MODELS=models.yaml)
#   make deploy         build, validate, `sam deploy --guided`; prints the address and the next command
#   make smoke          checks a deployment (URL=https://... KEY=sk-zg_...)
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

.PHONY: help serve test check test-fast bench build build-tree validate deploy smoke lock format clean
help:
	@sed -n '2,12s/^# *//p' Makefile

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@python="$$($(FIND_PYTHON))"; \
	echo "Setting up $(VENV) with $$($$python --version) (about a minute, once)"; \
	"$$python" -m venv --clear $(VENV) || { echo "Python's venv module is missing: on Debian or Ubuntu, apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

# AWS's own tools, in an environment of their own: they want other versions of our libraries.
SAM := $(VENV)-sam/bin
export SAM_CLI_TELEMETRY := 0
$(VENV)-sam/.ready: requirements/sam.txt | $(VENV)/.ready
	@echo "Setting up $(VENV)-sam for the AWS SAM CLI (once)"
	@$(BIN)/python -m venv --clear $(VENV)-sam
	@$(SAM)/python -m pip install --quiet --require-hashes --no-deps -r requirements/sam.txt
	@touch $@

serve: $(VENV)/.ready
	@exec $(BIN)/zerogate serve $(ARGS)

test: check validate
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

ARCH ?= arm64
RUNTIME ?= python3.13
MODELS ?=
TREE ?=
BUILD = $(BIN)/python -m infra_sam.build --arch $(ARCH) --runtime $(RUNTIME) $(if $(MODELS),--models "$(MODELS)") $(if $(ALLOW_SOURCE_ONLY),--allow-source-only)
build: $(VENV)/.ready
	@$(BUILD)

# For `sam build`: what is set up is not set up again below a running build.
build-tree:
	@test -x $(BIN)/python || $(MAKE) --no-print-directory $(VENV)/.ready
	@$(BUILD) --no-zip --tree "$(TREE)"

# The Region is only where cfn-lint looks up what exists; nothing on AWS is asked.
validate: $(VENV)-sam/.ready
	@cd infra_sam && AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(CURDIR)/$(SAM)/sam validate --lint

URL ?=
KEY ?=
smoke: $(VENV)/.ready
	@ZEROGATE_SMOKE_KEY="$(KEY)" $(BIN)/python -m infra_sam.smoke "$(URL)" $(ARGS)

export ARCH RUNTIME MODELS ALLOW_SOURCE_ONLY
deploy: validate
	@cd infra_sam && $(CURDIR)/$(SAM)/sam build --parameter-overrides Architecture=$(ARCH) Runtime=$(RUNTIME)
	@cd infra_sam && $(CURDIR)/$(SAM)/sam deploy --guided \
		--parameter-overrides Architecture=$(ARCH) Runtime=$(RUNTIME) DeploymentId=$$(printf '%x' $$(date +%s)) $(PARAMETERS)
	@echo; echo "BaseUrl above is the address for clients; NextCommand makes the first key."

LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" --quiet
lock: $(VENV)/.ready
	@$(BIN)/python -m venv $(VENV)/lock && $(VENV)/lock/bin/python -m pip install --quiet uv
	PATH="$(CURDIR)/$(VENV)/lock/bin:$$PATH" $(LOCK) --extra server pyproject.toml -o requirements/server.txt
	PATH="$(CURDIR)/$(VENV)/lock/bin:$$PATH" $(LOCK) --extra local --group dev -c requirements/server.txt pyproject.toml -o requirements/dev.txt
	PATH="$(CURDIR)/$(VENV)/lock/bin:$$PATH" $(LOCK) --group sam -o requirements/sam.txt

clean:
	rm -rf $(VENV) $(VENV)-sam build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
