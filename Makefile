.POSIX:

PYTHON ?= python3
# lock, newest or oldest
VERSIONS ?= lock
# 1: a CPU-only torch, from the index TORCH_INDEX
CPU ?=
TORCH_INDEX ?=
VENV_lock = .venv
VENV_lock1 = .venv-cpu
VENV_newest = .venv-newest
VENV_oldest = .venv-oldest
VENV = $(VENV_$(VERSIONS)$(CPU))
STAMP = $(VENV)/.installed
# The newest versions are those of the day: installed each time
ALWAYS_newest = always
ARGS =

help:
	@echo "make demo    train five methods on generated sounds (5 minutes)"
	@echo "make test    run all tests and doctests; ARGS=\"-k demo\" for some"
	@echo "make test-all    run what make test samples from big tables, too"
	@echo "make bench-demo   train all methods on the generated data sets (hours)"
	@echo "make bench-real   the same on real recordings; ARGS=\"--digits DIR ...\""
	@echo "make style   check lint, format, imports between rooms and copies"
	@echo "make lock    re-make requirements-lock.txt and run all tests with it"
	@echo "make clean   remove environments and caches; data and results stay"
	@echo
	@echo "All but clean make .venv from requirements-lock.txt when needed."
	@echo "The versions that requirements.txt allows, each in an environment of"
	@echo "its own: make test VERSIONS=newest, make test VERSIONS=oldest"
	@echo "Without CUDA: make test CPU=1 TORCH_INDEX=URL"
	@echo "Another interpreter: make clean test PYTHON=python3.12"

demo: $(STAMP)
	$(VENV)/bin/python -m petl_modules.demo $(ARGS)

bench-demo: $(STAMP)
	$(VENV)/bin/python benchmarks/demo.py $(ARGS)

bench-real: $(STAMP)
	$(VENV)/bin/python benchmarks/real.py $(ARGS)

test: $(STAMP)
	$(VENV)/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

test-all: $(STAMP)
	$(VENV)/bin/python -m pytest --whole -n auto --maxprocesses 8 --dist worksteal $(ARGS)

style: $(STAMP)
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python tools/copy_methods.py --check

lock:
	rm -rf .venv-lock
	$(PYTHON) tools/set_up.py --lock
	$(MAKE) test VERSIONS=lock CPU= VENV=.venv-lock
	rm -rf .venv-lock

clean:
	rm -rf .venv .venv-cpu .venv-newest .venv-oldest .venv-lock
	rm -rf .pytest_cache .ruff_cache .hypothesis *.egg-info build
	find petl_modules recipes tests tools benchmarks -name __pycache__ -type d -prune \
		-exec rm -rf {} +

# Written last, so that an interrupted installation is done again
$(STAMP): requirements.txt requirements-export.txt requirements-service.txt \
		requirements-test.txt requirements-lock.txt pyproject.toml tools/set_up.py $(ALWAYS_$(VERSIONS))
	$(PYTHON) tools/set_up.py $(VENV) --versions "$(VERSIONS)" \
		--cpu "$(CPU)" --torch-index "$(TORCH_INDEX)"

always:

.PHONY: help demo bench-demo bench-real test style lock clean always
