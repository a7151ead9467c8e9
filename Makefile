PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TASK := security-membership-inference-defense

.PHONY: demo test test-slow test-ray test-agents test-browser test-docker image lint clean

# Installs the project with everything that it needs (torch among it, several GB) into $(VENV), once.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/ready  ## set up, train three small models with one baseline, print the table
	$(BIN)/mlsbench baselines $(TASK) --protocol smoke --only erm --seed 42

test: $(VENV)/ready  ## set up and run all tests but the slow ones and those of Ray, agents, Docker and a browser
	$(BIN)/python -m pytest

test-slow: $(VENV)/ready  ## run the tests that train, or kill what trains, for longer than the rest
	$(BIN)/python -m pytest -m 'slow and not docker'

test-ray: $(VENV)/ready  ## run the tests that run Ray clusters on this machine
	$(BIN)/python -m pytest -m ray

test-browser: $(VENV)/ready  ## open the report in a headless Chromium, which must be installed
	$(BIN)/python -m pytest -m browser

test-agents: $(VENV)/ready  ## run the tests that train for scripted agents
	$(BIN)/python -m pytest -m 'agents and not browser'

image: $(VENV)/ready  ## build the image of the Docker sandbox, perhaps with BASE=image and NETWORK=name
	$(BIN)/mlsbench image build $(if $(BASE),--base $(BASE)) $(if $(NETWORK),--network $(NETWORK))

test-docker: $(VENV)/ready  ## run the tests that need a Docker engine, after building the image if it is not this code's
	$(BIN)/mlsbench image check || $(MAKE) image
	$(BIN)/python -m pytest -m docker

lint: $(VENV)/ready  ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for file in tasks/*/measure.py; do $(BIN)/mypy "$$file" || exit 1; done
	$(BIN)/lint-imports

clean:  ## remove what make made; records stay
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
