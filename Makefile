# Every target sets up what it needs, inside the checkout: .venv for the environment, build/ for all that is made.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full lint docs page wheels lock clean

BIN := .venv/bin
# Workers of one machine share its cores, so each computes on one thread; more than 8 only cost memory.
PYTEST := OMP_NUM_THREADS=1 TALLYMARK_WHEELS=required $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## make the environment .venv (every other target does this by itself)
	@sh tools/setup.sh

demo: setup ## synthetic images, training on numbers and marks, and a page with the results: a few minutes
	@$(BIN)/tallymark demo --again

test: setup ## all tests but the slow ones
	@$(BIN)/python tools/wheels.py
	@sh tools/browser.sh
	@$(PYTEST) -q

test-full: setup ## all tests, the slow and hostile ones at full count
	@$(BIN)/python tools/wheels.py
	@sh tools/browser.sh
	@HYPOTHESIS_PROFILE=full $(PYTEST) -q --full --timeout 3600

lint: setup ## style, types, import rules, the lock, and what tracked files may not name
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy --strict src tools
	@$(BIN)/lint-imports --no-logo --cache-dir build/imports
	@$(BIN)/python tools/locked.py
	@$(BIN)/python tools/tracked.py
	@$(BIN)/python tools/web.py --check

docs: setup ## the documentation as HTML in build/docs
	@$(BIN)/python tools/cli_reference.py --write
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

page: setup ## build the marking page from web/ into the package
	@$(BIN)/python tools/web.py

wheels: setup ## small wheels for a GPU machine without network [PYTHON=3.12] [PLATFORM=manylinux_2_28_x86_64]
	@$(BIN)/python tools/wheels.py $(if $(PYTHON),--python $(PYTHON)) $(if $(PLATFORM),--platform $(PLATFORM))

lock: setup ## make requirements.lock anew after a change of dependencies [UPGRADE=--upgrade]
	@sh tools/lock.sh $(UPGRADE)

clean: ## remove the environment and all that was made
	rm -rf .venv build dist docs/api
