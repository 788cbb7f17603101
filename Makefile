# Two commands matter: `make run` and `make test`. Both begin with `make setup`.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: setup run test check format lock clean
.DEFAULT_GOAL := help

help:
	@echo "make run    set up and start everything, with a simulated fleet (ARGS=\"--for 60s --json\")"
	@echo "make test   set up and run every check and every test"
	@echo "make check  formatting, lint, types and architecture contracts alone"
	@echo "make setup  the virtual environment and the console's assets; then .venv/bin/foremend"

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml api/assets/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Foremend needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "setup: virtual environment in .venv"
	@$(PYTHON) -m venv .venv \
		|| { echo "setup: this Python cannot make virtual environments; install its venv package (Debian: python3-venv)"; exit 1; }
	@echo "setup: locked dependencies, each checked by its hash (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "setup: console assets"
	@$(BIN)/python api/assets/install.py
	@touch $@

# Programs that others wrote, for the tests to speak to. Each has an environment of its own, since
# it pins libraries that our lock cannot hold; what builds it is locked beside it.
FOREIGN := sparkplug moonraker octoprint bambu
FOREIGN_READY := $(FOREIGN:%=.venv/foreign-%/.ready)

.venv/foreign-%/.ready: tests/foreign/build.lock tests/foreign/%.lock .venv/.ready
	@echo "setup: a foreign peer for the tests: $*"
	@$(BIN)/python -m venv .venv/foreign-$*
	@for lock in $(wordlist 1,2,$^); do \
		.venv/foreign-$*/bin/python -m pip install --quiet --disable-pip-version-check \
			--no-build-isolation --require-hashes -r $$lock || exit 1; done
	@touch $@

run: setup
	@$(BIN)/foremend up $(ARGS)

check: setup
	@$(BIN)/ruff format --check --quiet . || { echo "make format would change the files above"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

test: check $(FOREIGN_READY)
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

format: setup
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

# Needs uv; writes no index and no host into the file.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --extra server --extra printers --extra machines --extra cluster --extra dev \
		--output-file requirements.lock pyproject.toml
	for name in build $(FOREIGN); do uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate \
		--output-file tests/foreign/$$name.lock tests/foreign/$$name.in; done

clean:
	rm -rf .venv api/static/vendor node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
