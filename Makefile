SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PROTOS := shelflens/v1/catalogs.proto shelflens/v1/dead_letters.proto shelflens/v1/evaluation.proto shelflens/v1/models.proto shelflens/v1/search.proto
STUBS ?= services/client

.PHONY: help install demo cluster test test-servers lint types bench bench-long results chaos protos lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## install everything into .venv

$(INSTALLED): requirements.lock pyproject.toml services/client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Shelflens needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip sync -q --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e services/client -e .
	touch $@

demo: install  ## render a small catalogue, import it, search it with photos, print the results
	$(BIN)/python -m services.demo.tour

cluster: install  ## run every service and its servers on this machine until Ctrl-C, to try them
	$(BIN)/python -m tests.servers

test: install lint types  ## lint, types, import rules and all tests that need no server
	$(BIN)/python -m pytest tests --ignore=tests/bench -m "not servers"

test-servers: install  ## the tests that need RabbitMQ, PostgreSQL and S3 servers, which they start
	$(BIN)/python -m pytest tests --ignore=tests/bench -m servers

lint: install
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/lint-imports --no-cache

types: install
	$(BIN)/mypy

bench: install  ## benchmarks under 5 minutes each; BENCH=name for one, DATA=folder for your own catalogue
	$(BIN)/python -m tests.bench $(if $(BENCH),--only $(BENCH)) $(if $(DATA),--data $(DATA))

bench-long: install  ## the benchmarks that take longer
	$(BIN)/python -m tests.bench --long $(if $(DATA),--data $(DATA))

results: install  ## the ablation of docs/results.md anew; DATA=folder with grocery-store/ and luma/
	$(BIN)/python -m tests.results ablation --grocery $(DATA)/grocery-store --luma $(DATA)/luma \
	  --out docs/results.md

chaos: install  ## break a cluster and check its promises; SEEDS=1-20, see docs/chaos.md
	$(BIN)/python -m tests.chaos $(or $(SEEDS),1-3)

protos: install  ## regenerate the gRPC stubs
	$(BIN)/buf lint protos
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -Iprotos/third_party \
	  --python_out=$(STUBS) --grpc_python_out=$(STUBS) --mypy_out=quiet,readable_stubs:$(STUBS) \
	  --mypy_grpc_out=quiet,readable_stubs:$(STUBS) $(PROTOS)

lock:  ## resolve requirements.lock anew
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --all-extras --no-header --no-annotate \
	  --no-emit-package shelflens --upgrade pyproject.toml -o requirements.lock

clean:  ## remove what the build made
	rm -rf $(VENV) build dist
