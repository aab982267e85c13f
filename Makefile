# `make setup` and everything it needs; the other targets call it. See README.md, "Development".
PYTHON ?= python3
PORT ?= 8000
LMS_PORT ?= 9000
# What Python has compiled is kept, whatever is told outside: the tests' own modules take ten seconds for each process.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
RUNTIME := .venv/.installed
TOOLS := .venv/.tools
NODE := tests/interop/node_modules/.package-lock.json
SCHEMAS := tests/interop/.cache/.checked
OPENEDX := tests/independent/.venv/.installed
VALIDATOR := tests/interop/validator/.venv/.installed

.PHONY: setup demo test lint format words bench lock clean

setup: $(RUNTIME)

demo: $(RUNTIME)
	$(BIN)/lti-tool demo --port $(PORT) --lms-port $(LMS_PORT)

# Tests that fail on PostgreSQL do not keep those on SQLite from being run; what cannot even be collected does, at once.
# Each worker takes half of the modules in their order and then from the other's end: few make their scene twice.
test: debian lint $(NODE) $(SCHEMAS) $(OPENEDX) $(VALIDATOR)
	@status=0; \
	$(BIN)/python -m tests.servers $(BIN)/python -m pytest -q -p tests.servers -n 2 --dist worksteal || status=$$?; \
	test $$status -lt 2 || exit $$status; \
	$(BIN)/python -m pytest -n 2 --dist worksteal || status=$$?; \
	exit $$status

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(TOOLS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Collects what pages say, and brings each language's file up to it: new words stand there without a translation.
words: $(TOOLS)
	$(BIN)/python -m tests.words

bench: debian $(TOOLS)
	$(BIN)/python -m tests.bench

.PHONY: debian
debian:
	@sh .ci/debian

# The project itself is installed from its own folder, so a change of the code needs no new set-up.
$(RUNTIME): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(TOOLS): $(RUNTIME) requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	touch $@

$(NODE): tests/interop/package.json tests/interop/package-lock.json
	npm ci --prefix tests/interop --no-audit --no-fund --loglevel=error
	touch $@

$(SCHEMAS): $(TOOLS) tests/interop/schemas.py
	$(BIN)/python tests/interop/schemas.py
	touch $@

# The platform of tests/independent brings its own Django, which has no business in the tool's environment.
$(OPENEDX): tests/independent/requirements.lock
	test -x tests/independent/.venv/bin/python || $(PYTHON) -m venv tests/independent/.venv
	tests/independent/.venv/bin/python -m pip install --quiet --require-hashes -r tests/independent/requirements.lock
	touch $@

# 1EdTech's validator of Open Badges 2.0 is of 2019. Its own pins do not hold any more (see overrides.txt), so pip is
# told to look at the lock file alone.
$(VALIDATOR): tests/interop/validator/requirements.lock
	test -x tests/interop/validator/.venv/bin/python || $(PYTHON) -m venv tests/interop/validator/.venv
	tests/interop/validator/.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r tests/interop/validator/requirements.lock
	touch $@

# Asks the package index anew: run it after a change of the dependencies in pyproject.toml.
lock: $(RUNTIME)
	$(PYTHON) -m venv .venv/lock && .venv/lock/bin/python -m pip install --quiet uv
	.venv/lock/bin/uv $(LOCK) pyproject.toml - -o requirements.lock <<< 'setuptools>=80'
	.venv/lock/bin/uv $(LOCK) --extra dev pyproject.toml - -c requirements.lock -o requirements-dev.lock <<< 'setuptools>=80'
	.venv/lock/bin/uv $(LOCK) tests/independent/requirements.in -o tests/independent/requirements.lock
	.venv/lock/bin/uv $(LOCK) --override tests/interop/validator/overrides.txt tests/interop/validator/requirements.in -o tests/interop/validator/requirements.lock
lock: LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: SHELL := /bin/bash

clean:
	rm -rf .venv build *.egg-info tests/interop/node_modules tests/interop/.cache tests/independent/.venv tests/interop/validator/.venv
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
