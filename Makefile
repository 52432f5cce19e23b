# `make help` lists the commands. `make run` and `make test` do all necessary set-up.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

# Many containers set this. Then no bytecode is written, and each process compiles the tests and the application again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test thorough servers responses neighbours clients pictures pythons focus lint format errors models licences sbom audit lock bench chaos storm kills rolling load soak clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

install: .venv/installed ## Create the virtual environment and install the pinned packages

run: .venv/installed .env ## Serve on http://127.0.0.1:8000 (HOST, PORT); without OPENAI_API_KEY, with the offline model
	@echo "==> Starting gunicorn; Ctrl-C stops it"
	@exec $(BIN)/gunicorn wsgi:app

test: .venv/installed-dev ## Run the tests
	@$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

thorough: .venv/installed-dev ## Run the further cases of what make test checks: full tables, more generated cases, slow proofs
	@TEST_THOROUGH=yes $(BIN)/python -m pytest -n 3 --dist loadfile -m 'thorough or generated' $(ARGS)

responses: .venv/installed-dev ## Run the tests of the service again, over /responses
	@TEST_UPSTREAM_API=responses $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not servers' tests/openai_service tests/tools tests/billing/ledger/test_ledger_of_calls.py $(ARGS)

servers: .venv/installed-dev ## Test several real workers: stops, reloads, kills, disconnecting clients, charges
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m servers tests/chaos tests/deploy tests/server tests/several_workers $(ARGS)

neighbours: .venv/installed-dev ## Test that hostile requests do not slow down others (make test sends one of each kind)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m neighbours tests/neighbours tests/server tests/media/images tests/web/test_anonymous.py $(ARGS)

clients: .venv/installed-dev tests/clients/node_modules/installed tests/clients/examples/node_modules/installed tests/clients/.venv/installed ## Test the examples, and with client libraries (needs Node 20 and npm)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m clients tests/clients $(ARGS)

pictures: .venv/installed-dev tests/clients/node_modules/installed ## Take the screenshots in docs/pictures (needs Chromium)
	@mkdir -p docs/pictures
	@PICTURES=$(CURDIR)/docs/pictures $(BIN)/python -m pytest -q -m clients tests/clients -k pictures

pythons: .venv/installed-dev ## Run the main tests with each newer Python on this machine
	@$(BIN)/python tests/smoke/pythons.py

focus: .venv/installed-dev ## Check the FOCUS export with focus-validator (needs Python 3.12)
	@$(BIN)/python -m tests.billing.exports.validate

lint: .venv/installed-dev ## Check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/installed-dev ## Format the code, and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

errors: .venv/installed ## Update the table of errors in docs/errors.md
	@$(BIN)/python -m app.web.error_table docs/errors.md

models: .venv/installed ## Update the list of prices, and the tables of models in docs/models.md
	@$(BIN)/python -m app.models.families.price_list.writing
	@$(BIN)/python -m app.models.families.table docs/models.md

licences: .venv/installed-dev ## Update docs/licences.md, and check the licences of the pinned packages
	@$(BIN)/python -m supply_chain.licences docs/licences.md

sbom: supply_chain/.venv/installed ## Write sbom.cdx.json, the list of the pinned packages in the format CycloneDX
	@supply_chain/.venv/bin/cyclonedx-py requirements --output-reproducible --of JSON -o sbom.cdx.json requirements.txt
	@echo "==> Wrote sbom.cdx.json"

audit: supply_chain/.venv/installed ## Check the pinned packages for known vulnerabilities (ARGS=--strict: fail if PyPI is unavailable)
	@supply_chain/.venv/bin/python -m supply_chain.audit $(ARGS)

lock: .venv/installed-dev ## Upgrade the pinned packages in requirements*.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements.in -o requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements-otel.in -o requirements-otel.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements-dev.in -o requirements-dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade tests/clients/requirements.in -o tests/clients/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade supply_chain/requirements.in -o supply_chain/requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-header --upgrade tests/billing/exports/requirements.in -o tests/billing/exports/requirements.txt

bench: .venv/installed-dev ## Measure the speed, compared with nginx and a plain Flask app (ARGS="--help")
	@$(BIN)/python -m bench $(ARGS)

chaos: .venv/installed-dev ## Test for two minutes against an upstream that fails in every way (ARGS="--help")
	@$(BIN)/python -m chaos $(ARGS)

storm: .venv/installed-dev ## Kill workers during calls for a minute, and compare the charges with the upstream's bill
	@$(BIN)/python -m chaos.killing $(ARGS)

kills: .venv/installed-dev ## Kill 500 deliveries of the outbox, with SQLite and PostgreSQL, and count what was delivered (KILLS=50)
	@KILLS=$(or $(KILLS),500) $(BIN)/python -m pytest -q -rP -m servers tests/several_workers/test_outbox_together.py $(ARGS)

load: .venv/installed-dev ## Load two nodes behind Nginx for a minute; kill one, unplug it, freeze PostgreSQL and Redis (ARGS="--help")
	@$(BIN)/python -m chaos.nodes $(ARGS)

soak: .venv/installed-dev ## Load two nodes for ten minutes, and check that memory, threads and files do not grow (ARGS="--help")
	@$(BIN)/python -m chaos.nodes --soak $(ARGS)

rolling: .venv/installed-dev ## Reload two nodes behind Nginx in turn, under 200 streams and load (ARGS=--restart: restart them)
	@$(BIN)/python -m chaos.rolling $(ARGS)

clean: ## Remove the virtual environments and all caches, but not .env and data
	rm -rf .venv .venv-pythons .pytest_cache .mypy_cache .ruff_cache tests/clients/node_modules tests/clients/examples/node_modules tests/clients/.venv supply_chain/.venv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python if it is not $(PYTHON)." >&2; exit 1; }
	@echo "==> Creating the virtual environment in .venv"
	@$(PYTHON) -m venv .venv || { \
		echo "The venv module is missing; on Debian: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }

.venv/installed: requirements.txt | .venv/bin/python
	@echo "==> Installing the packages of requirements.txt (half a minute the first time)"
	@$(PIP) -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "==> Installing the packages of requirements-dev.txt"
	@$(PIP) -r requirements-dev.txt
	@touch $@

tests/clients/node_modules/installed tests/clients/examples/node_modules/installed: %/node_modules/installed: %/package-lock.json
	@echo "==> Installing the packages of $<"
	@cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

tests/clients/.venv/installed: tests/clients/requirements.txt .venv/installed-dev
	@echo "==> Installing the packages of tests/clients/requirements.txt"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python tests/clients/.venv
	@$(BIN)/uv pip install --quiet --require-hashes --python tests/clients/.venv/bin/python -r tests/clients/requirements.txt
	@touch $@

supply_chain/.venv/installed: supply_chain/requirements.txt .venv/installed-dev
	@echo "==> Installing the packages of supply_chain/requirements.txt"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python supply_chain/.venv
	@$(BIN)/uv pip install --quiet --require-hashes --python supply_chain/.venv/bin/python -r supply_chain/requirements.txt
	@touch $@

.env:
	@echo "==> Creating .env from .env.example, with a new SECRET_KEY"
	@umask 077 && secret=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))') && \
		sed "s|^SECRET_KEY=.*|SECRET_KEY=$$secret|" .env.example > $@.new && mv $@.new $@
