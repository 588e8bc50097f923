# Two commands matter: `make run` executes the course, `make test` proves it. Both do their own set-up.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
INSTALLED := $(VENV)/.installed

.PHONY: help run lab test lint notebooks-clean lock clean

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(INSTALLED)  ## Execute every chapter; the pages are in runs/<id>/index.html
	$(BIN)/crmlab run --jobs $(JOBS)

lab: $(INSTALLED)  ## Copy the chapters to crmlab-lab/ and open JupyterLab there
	$(BIN)/crmlab lab

test: $(INSTALLED) lint  ## Prove everything: style, types, structure, unit tests, notebooks
	CRMLAB_TABLES=$(abspath $(VENV)/nbval-tables) $(BIN)/python -m pytest --nbval-lax -n $(JOBS) --dist loadfile -q notebooks
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --doctest-modules --cov --cov-report=term crmlab tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# pip compiles to byte code while it installs; the lock is exact, so the second step needs no resolver.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crmlab needs Python 3.11 or newer; try: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'open("$(INSTALLED)", "w").close()'

notebooks-clean: $(INSTALLED)  ## Strip outputs that nbval does not check, before a commit
	$(BIN)/nbstripout --keep-count --keep-id --extra-keys 'metadata.language_info metadata.widgets' notebooks/*.ipynb

lock:  ## Solve the dependencies anew (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --extra data --extra dev pyproject.toml -o requirements.lock

clean:  ## Remove the environment and what was run
	rm -rf $(VENV) runs crmlab-lab .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
