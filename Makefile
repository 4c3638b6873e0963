# make run: the first figure from a fresh clone. make test: everything that CI checks.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Of tests side by side, on two cores: much of their time is waiting for processes. 0 is one after another.
WORKERS ?= 3
# Tests start hundreds of processes, each of which would compile the project's text where bytecode is not to be kept.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest

.PHONY: venv run test text kernels audit soak hil figures reproduce bench docs pictures clean

venv: $(VENV)/.installed

# The seconds are told, from the clone to the picture: whoever tries this for the first time has nothing else to judge by.
BEGAN := $(shell date +%s)
FRESH := $(if $(wildcard $(VENV)/.installed),,fresh)
run: venv
	@ready=$$(date +%s); $(BIN)/labctl figure prbm.digits --out runs && \
	scripts/newcomers-path.sh $(BEGAN) $$ready $$(date +%s) $(FRESH)

test:
	@PYTHON=$(PYTHON) scripts/setup-system.sh
	@$(MAKE) --no-print-directory $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory -j 2 text kernels
	@$(PYTEST) -n $(WORKERS) --dist loadscope --no-loadscope-reorder
	@echo " ✓ all checks passed"

# One after another; kernels that many tests need are compiled meanwhile, on another core.
text: $(VENV)/.installed-dev
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

kernels: $(VENV)/.installed-dev
	@$(BIN)/python tests/compile_kernels.py

# Needs a network: not a part of test, whose list of dependencies (docs/dependencies.md) is checked without one.
audit: $(VENV)/.installed-dev
	@$(BIN)/python scripts/audit.py

soak: $(VENV)/.installed-dev
	@$(PYTEST) -m soak -s

hil: $(VENV)/.installed-dev
	@PYTHON=$(PYTHON) scripts/setup-system.sh hil
	@$(PYTEST) -m hil

# All of them, whatever one of them ends with; some need a folder of data (LABCTL_DATA).
figures: venv
	@names=$$($(BIN)/labctl figure --list | awk '{ print $$1 }'); missed=""; \
	for name in $$names; do $(BIN)/labctl figure "$$name" --out runs || missed="$$missed $$name"; done; \
	if [ -n "$$missed" ]; then echo " ✗ not as promised, or not measured:$$missed"; exit 1; fi; \
	echo " ✓ figures in runs/"

# Small settings of them, beside what the papers have: runs/reproduction-quick/reproduction.html. With all that single
# experiments need, as the tests.
reproduce: $(VENV)/.installed-dev
	@$(BIN)/labctl reproduce --quick

# The manual, in build/docs/index.html; a warning is an error.
docs: $(VENV)/.installed-dev
	@$(BIN)/sphinx-build -q -W --keep-going -b html -d build/doctrees docs build/docs
	@echo " ✓ manual in build/docs/index.html"

# Those of the page (docs/page.md), taken in Chromium.
pictures: $(VENV)/.installed-dev
	@$(BIN)/python scripts/page-pictures.py

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks prbm --json
	@$(BIN)/python -m benchmarks bus --json

# Runs are measurements and stay.
clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo " ✓ clean (runs/ kept)"

# pip is the last thing that venv makes, so an interrupted environment is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo " ✗ labctl needs Python 3.11 or newer; '$(PYTHON)' is older or missing." \
	       "Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo " ✗ '$(PYTHON)' cannot make environments. Install the module: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	@echo " … installing labctl and its libraries"
	@start=$$(date +%s); $(BIN)/pip install --quiet --disable-pip-version-check -e . && \
	touch $@ && echo " ✓ environment ready   $$(($$(date +%s) - start)) s"

$(VENV)/.installed-dev: pyproject.toml Makefile | $(BIN)/pip
	@echo " … installing labctl, what its tests and benchmarks need"
	@start=$$(date +%s); $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,bench,hardware]' && \
	touch $(VENV)/.installed $@ && echo " ✓ environment ready   $$(($$(date +%s) - start)) s"
