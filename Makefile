# Each target is one line of Python; the README says how to work without make.
PYTHON ?= python3
ifneq ($(and $(CONDA_PREFIX),$(filter-out command line,$(origin PYTHON))),)
# an active conda environment is used as it is
PY := $(CONDA_PREFIX)/bin/python
else
PY := .venv/bin/python
READY := .venv/.ready
DEV := .venv/.ready-dev
endif
# The command line's variables go to Python, which checks them; quotes in them survive the shell.
GIVEN = --make '$(subst ','\'',$(MAKEOVERRIDES))'
# make would expand what a value holds, $(shell ...) too, when it hands it on through the environment.
$(foreach name,SET AUTHOR NAME BUDGET ENGINE SEED,$(if $(findstring command,$(origin $(name))),$(eval unexport $(name))))
REPORT = $(PY) -m helpers.report
INSTALL = .venv/bin/python -m pip install -qq --constraint requirements.lock --editable
MAKEFLAGS += --no-print-directory
.PHONY: help report index test lab bench verify submission marking-sheet lint clean-notebooks new-study lock publish clean distclean

help:  ## print what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile
	@echo "  Variables of make report: BUDGET DATA DEVICE PRECISION JOBS ENGINE SEED FRESH ONLY SET AUTHOR"

report: $(READY)  ## build the pages whose inputs changed: reports/standard/index.html
	@$(REPORT) build $(GIVEN)

index: $(READY)  ## write the index again
	@$(REPORT) index $(GIVEN)

test: $(READY) $(DEV)  ## run the tests, offline
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not realdata and not browser"

lab: $(READY)  ## open task 1 in JupyterLab, for this machine only
	@$(PY) -m jupyterlab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/task1_data_loaders.ipynb

bench: $(READY)  ## measure the speed against the classic course loop
	@$(PY) -m tests.bench

verify: $(READY)  ## train a sample of the records again and compare (ALL=1: all of them)
	@$(REPORT) verify $(GIVEN)

submission: $(READY)  ## pack pages, notebooks and check.py into reports/submission.zip
	@$(REPORT) submission $(GIVEN)

marking-sheet: $(READY)  ## one page to mark the tasks on, from the pages and notebooks/rubric.yaml
	@$(REPORT) marking-sheet $(GIVEN)

lint: $(READY) $(DEV)  ## check the code and the notebooks
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(REPORT) lint-notebooks

clean-notebooks: $(READY)  ## take outputs and counts out of the notebooks
	@$(REPORT) clean-notebooks

new-study: $(READY)  ## start a study of your own: make new-study NAME=mine
	@$(PY) -m helpers.claims new-study $(if $(value NAME),'$(subst ','\'',$(value NAME))')

lock: $(READY)  ## write the installed versions to requirements.lock
	@$(REPORT) lock

publish: $(READY)  ## copy the pages (BUDGET=full) and records to reports/published, and the tables to the README
	@$(REPORT) publish $(GIVEN)

clean: $(READY)  ## remove the pages and the tools' caches
	@$(REPORT) clean

distclean: $(READY)  ## remove also trained records, decoded data and the environment
	@$(REPORT) distclean

.venv/.ready: pyproject.toml requirements.lock
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2> /dev/null || \
	  { echo "$(PYTHON) is not Python 3.11 or newer: name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c "import venv, ensurepip" 2> /dev/null || \
	  { echo "$(PYTHON) cannot make environments: install python3-venv (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "Making .venv; the first time takes some minutes."
	@$(PYTHON) -m venv .venv
	@$(INSTALL) .
	@touch $@

.venv/.ready-dev: .venv/.ready
	@$(INSTALL) ".[dev,cluster]"
	@touch $@
