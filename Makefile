# Every target works on a fresh clone: what it needs in Python comes into .venv first. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

1_TO_9 := 1 2 3 4 5 6 7 8 9
FAST_SUITES := $(wildcard tests/unit tests/contract tests/judge tests/simulation)
PYTEST := $(BIN)/python -m pytest --timeout=120

.DEFAULT_GOAL := help
.PHONY: help run run-rabbitmq status test test-cluster test-faults test-compose simulate mutants screenshots audit bench bench-quick bench-guard check format lint types clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: PORTS="5000 5001 5002" and DATA_DIR=dados (run), PYTHON=python3 (what makes .venv).'

run: $(VENV)/node ## Start three nodes here, at http://127.0.0.1:5000 to 5002; Ctrl-C stops them
	@$(BIN)/python tools/run.py

run-rabbitmq: $(VENV)/node ## The same on RabbitMQ, with a local broker if none answers at AMQP_URL
	@$(BIN)/python -m tools.run_rabbitmq

start-%: $(VENV)/node ## Start one node of `make run` again, by its port: make start-5001
	@$(BIN)/python tools/run.py start $*

stop-%: $(VENV)/node ## Stop one node of `make run`: make stop-5001
	@$(BIN)/python tools/run.py stop $*

status: $(VENV)/node ## Say which nodes of `make run` are up, and their process ids
	@$(BIN)/python tools/run.py status

test: $(VENV)/dev ## Check everything: format, lint, types and every test
	@$(BIN)/python tools/debian_packages.py
	@$(MAKE) --no-print-directory lint types
	$(PYTEST) -n 2 --dist loadfile --durations=12 -m "not cluster and not long" tests/simulation tests  # the longest first
	$(PYTEST) tests/integration/test_routes.py tests/integration/test_reads.py --log rabbitmq

test-cluster: $(VENV)/dev ## Run what `make test` leaves out: three RabbitMQ brokers, and long tests
	@$(BIN)/python tools/debian_packages.py
	$(PYTEST) -m "cluster or long" tests

test-faults: $(VENV)/dev ## Break real nodes again and again: FAULTS=30 SEED=1 LOG=rabbitmq, or rabbitmq-3
	@$(BIN)/python -m tests.faults.storm $(if $(LOG),--log $(LOG)) $(if $(FAULTS),--faults $(FAULTS)) \
		$(if $(KINDS),--kinds "$(KINDS)") $(if $(SEED),--seed $(SEED))

mutants: $(VENV)/dev ## Plant one bug after the other and see that a test catches each
	$(BIN)/python -m tests.mutants.run

screenshots: $(VENV)/dev ## Take the pictures of the panel in docs/images, at ports 5000 to 5002
	@$(BIN)/python tools/debian_packages.py
	$(BIN)/python -m tests.browser.screenshots

bench bench-quick bench-guard: $(VENV)/bench
	@$(BIN)/python tools/debian_packages.py tools/debian-packages-bench.txt
	@$(BIN)/python -m bench.run $(patsubst bench-%,--%,$(filter bench-%,$@)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ACCOUNTS),--accounts $(ACCOUNTS)) \
		$(if $(OPERATIONS),--operations $(OPERATIONS)) $(if $(MOVEMENTS),--movements $(MOVEMENTS)) $(if $(OUTPUT),--output $(OUTPUT))

bench: ## Measure beside peers, in one run: ONLY="apply replay" SECONDS=3 ROUNDS=7; writes docs/performance
bench-quick: ## The same in two minutes, a few telling workloads
bench-guard: ## Compare the quick ratios with bench/baseline.json; fails if one fell

audit: $(VENV)/audit ## Ask PyPI for known vulnerabilities of what a node needs; fails if it could not be asked
	$(BIN)/python -m pip_audit --strict --no-deps --disable-pip -r requirements.txt

simulate: $(VENV)/dev ## Run the bank in virtual time with faults: SEED=42, or SEEDS=1-20000 on all cores
	@$(BIN)/python -m tests.simulation $(or $(SEED),$(SEEDS),1-500) $(if $(ONLY),--only $(ONLY))

test-compose: $(VENV)/dev ## Run the containers and break them; needs Docker with Compose
	COMPOSE_FILE=docker-compose.yml $(BIN)/python -m tests.compose.journeys
	COMPOSE_FILE=docker-compose.cluster.yml $(BIN)/python -m tests.compose.journeys
	COMPOSE_FILE=docker-compose.yml:docker-compose.tokens.yml \
		env $(foreach name,CLUSTER_KEY RABBITMQ_DEFAULT_PASS $(1_TO_9:%=BANCO_%_PASS),$(name)=only-for-this-test) $(BIN)/python -m tests.compose.locked

check: $(VENV)/dev ## Check what takes less than a minute: run it before every commit
	@$(MAKE) --no-print-directory lint types
	$(PYTEST) -m "not slow and not cluster and not long" $(FAST_SUITES)

lint: $(VENV)/dev
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .

types: $(VENV)/dev
	$(BIN)/python -m mypy

format: $(VENV)/dev ## Format the code and mend what can be mended by itself
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

clean: ## Remove .venv and all caches; the bank's data in dados/ stay
	rm -rf $(VENV) .run .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("The bank needs Python 3.11 or newer, and $(PYTHON) is %d.%d: name another one, as in `make PYTHON=python3.12`." % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Installed again only when the list changed. A stamp stands only after the installation went through.
$(VENV)/node: requirements.txt | $(BIN)/python
	@echo 'Installing what a node needs into $(VENV)...'
	@$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/node | $(BIN)/python
	@echo 'Installing the tools for checks and tests into $(VENV)...'
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

$(VENV)/audit: requirements-audit.txt | $(BIN)/python
	@echo 'Installing what looks up vulnerabilities into $(VENV)...'
	@$(BIN)/python -m pip install --quiet -r requirements-audit.txt
	@touch $@

$(VENV)/bench: requirements-bench.txt $(VENV)/node | $(BIN)/python
	@echo 'Installing what the benchmark needs into $(VENV)...'
	@$(BIN)/python -m pip install --quiet -r requirements-bench.txt
	@touch $@
