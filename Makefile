.POSIX:

PYTHON ?= python3
VENV = .venv
STAMP = $(VENV)/.installed
ARGS =

help:
	@echo "make demo    train five methods on generated sounds (5 minutes)"
	@echo "make test    run all tests and doctests; ARGS=\"-k demo\" for some"
	@echo "make bench-demo   train all methods on five generated data sets (90 minutes)"
	@echo "make style   check lint and format with ruff"
	@echo "make clean   remove $(VENV) and caches; data and results stay"
	@echo
	@echo "All but clean make $(VENV) and install into it when needed."
	@echo "Another interpreter: make test PYTHON=python3.12"

demo: $(STAMP)
	$(VENV)/bin/python -m petl_modules.demo $(ARGS)

bench-demo: $(STAMP)
	$(VENV)/bin/python benchmarks/demo.py $(ARGS)

test: $(STAMP)
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

style: $(STAMP)
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info build
	find petl_modules recipes tests tools benchmarks -name __pycache__ -type d -prune \
		-exec rm -rf {} +

# Written last, so that an interrupted installation is done again.
$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --editable ".[test]"
	touch $(STAMP)

.PHONY: help demo bench-demo test style clean
