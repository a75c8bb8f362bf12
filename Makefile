# make demo      a first result: generated sample data through every stage, into ./demo
# make test      the tests (ARGS="tests/test_dhash.py -x" chooses)
# make fuzz      property tests and faults on new examples, the chain over real data (EXAMPLES=1000 each; SEED=N repeats a run, ARGS=... chooses)
# make mutants   small faults put into a sample of the code: would the tests notice? (ARGS="utils/cubes.py -n 40" chooses)
# make bench-headline   hours for a curation of the published size (TISSUE=FOLDER of slices, else generated)
# make check     rules, format, types, and what docstrings must say
# make docs      the pages of docs/ and one per script, into ./site; links are checked
# make lock      requirements.lock anew: every package with its hashes
# make curate    IN=DIR OUT=DIR: the same stages over your 2d/, video/ and 3d/ folders
# make format    puts the code into the format that make check asks for
# make clean     removes the environment and the demo
#
# Each makes .venv and installs the pinned requirements first; a second run installs nothing.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= logical
EXAMPLES ?= 1000
SEED ?=

python := $(VENV)/bin/python
# The stamps carry the requirements' checksum: a clone's file dates say nothing about what is installed.
sum = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
installed := $(VENV)/installed-$(call sum,requirements.txt)
installed_dev := $(VENV)/installed-dev-$(call sum,requirements.txt requirements-dev.txt)

.PHONY: help demo test fuzz mutants bench-headline docs lock check rules formatted types docstrings curate format clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# //p' Makefile

demo: $(installed)
	@"$(abspath_python)" examples/demo.py demo

curate: $(installed)
	@test -n "$(IN)" -a -n "$(OUT)" || { echo 'usage: make curate IN=DIR OUT=DIR' >&2; exit 2; }
	@PYTHON="$(abspath_python)" bash examples/curate.sh "$(IN)" "$(OUT)"

# Hundreds of processes: where bytecode is not written each of them compiles what it imports, and the asserts of all tests.
test: $(installed_dev)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(python) -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz: $(installed_dev)
	@seed=$(SEED); : $${seed:=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; \
	export HYPOTHESIS_PROFILE=fuzz EXAMPLES=$(EXAMPLES); \
	$(python) -m pytest -m "hypothesis or fuzz" --hypothesis-seed $$seed --timeout 3600 -n $(WORKERS) --maxprocesses 4 $(or $(ARGS),tests); \
	code=$$?; echo "to repeat: make fuzz SEED=$$seed EXAMPLES=$(EXAMPLES)"; exit $$code

mutants: $(installed_dev)
	OMP_NUM_THREADS=1 $(python) tests/mutants.py $(ARGS)

bench-headline: $(installed_dev)
	OMP_NUM_THREADS=1 $(python) benchmarks/bench_headline.py $(if $(TISSUE),--tissue "$(TISSUE)") $(ARGS)

docs: $(installed_dev)
	$(python) -m mkdocs build --strict -q

lock: $(installed_dev)
	$(python) -m uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 requirements-dev.txt -o requirements.lock

check: rules formatted types docstrings

rules: $(installed_dev)
	$(python) -m ruff check .

formatted: $(installed_dev)
	$(python) -m ruff format --check .

types: $(installed_dev)
	$(python) -m mypy .

docstrings: $(installed_dev)
	$(python) -m pytest -q tests/test_docstrings.py

format: $(installed_dev)
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Not $(abspath): it splits a path with spaces.
abspath_python = $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(python)

$(python):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'This needs Python 3.11 or newer; "$(PYTHON)" is not. Name another: make PYTHON=python3.12 ...' >&2; exit 1; }
	@# Debian splits the module that puts pip into a new environment from Python; pip itself can then fill it.
	@"$(PYTHON)" -m venv $(VENV) >/dev/null 2>&1 || "$(PYTHON)" -m venv --without-pip --clear $(VENV)

pip = if $(python) -m pip --version >/dev/null 2>&1; then set -- $(python) -m pip; \
  else set -- "$(PYTHON)" -m pip --python $(python); fi; \
  "$$@" install --disable-pip-version-check $$([ -t 1 ] || echo -qq)

$(installed): | $(python)
	@echo 'installing requirements.txt into $(VENV) (once; torch is large)'
	@$(pip) -r requirements.txt
	@rm -f $(VENV)/installed-[0-9]* && touch $@

$(installed_dev): | $(python)
	@echo 'installing requirements-dev.txt into $(VENV) (once; torch is large)'
	@$(pip) -r requirements-dev.txt
	@rm -f $(VENV)/installed-* && touch $@ $(installed)
