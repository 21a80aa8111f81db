# intervalchange: `make demo` and `make test` are all a stranger needs.
PYTHON ?= python3
BIN := .venv/bin
# Half the cores each would starve the films; the fast suite is split over both instead.
WORKERS ?= 2

# The suites start hundreds of processes; without its bytecode each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo pacs check format test slow plugins page docs clean demo-model

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/installed  ## Make .venv with the exact versions of constraints.txt

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## Answer questions on bundled real and simulated pairs; writes demo/report.html
	$(BIN)/python examples/demo.py --out demo

pacs: setup  ## An archive, a watcher and the page on this machine: the answer to a new film comes back as a report
	$(BIN)/python examples/pacs.py

check: setup  ## Format, lint, types, the site
	$(BIN)/ruff format --check src tests examples benchmarks
	$(BIN)/ruff check src tests examples benchmarks
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pip check

format: setup  ## Rewrite the files as `check` wants them
	$(BIN)/ruff format src tests examples benchmarks
	$(BIN)/ruff check --fix src tests examples benchmarks

test: setup  ## The fast suite (under five minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

slow: setup  ## Tests of minutes: interrupted training, two processes, the documented commands
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist worksteal --durations=10

plugins: setup  ## The plug-ins in inspect_ai, lm-eval, lmms-eval and TRL themselves, in an environment beside .venv
	$(PYTHON) -m venv .venv-plugins
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > .venv-plugins/main.pth
	mv .venv-plugins/main.pth "$$(.venv-plugins/bin/python -c 'import site; print(site.getsitepackages()[0])')"
	.venv-plugins/bin/python -m pip install --quiet inspect-ai lm-eval trl loguru
	.venv-plugins/bin/python -m pip install --quiet --no-deps lmms-eval
	HF_HUB_OFFLINE=1 .venv-plugins/bin/python -m pytest tests/plugins

page:  ## Build the page of `serve` from frontend/ (needs node); its files are committed
	cd frontend && npm ci --no-audit --no-fund && npm run check && npm run build

NIH ?= ../shared/data/nih_films
LONGITUDINAL ?= ../shared/data/cxr_longitudinal

demo-model: setup  ## Train the bundled demo model from nothing, on simulated films and those of NIH=DIR (hours)
	bash examples/train_demo.sh $(NIH) $(LONGITUDINAL)

docs: setup  ## Build the site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## Remove everything that make made
	rm -rf .venv build dist site demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
