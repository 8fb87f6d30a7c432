# `make demo` and `make test` each work alone on a fresh clone: Python 3.11+ and pip are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLES := .cache/samples
EMULATED ?= arm
LEVEL ?=
MINUTES ?= 30
RUNS ?= 1000000
COUNT ?= 50
OTHERS ?=
# Real sockets, processes and clocks among four workers on a machine that others use as well: what
# fails there is run once more, alone, in a new process. It is named in what the first run printed.
ALONE := $(BIN)/pytest --last-failed --last-failed-no-failures none --exitfirst

# Hundreds of processes would each compile what they import anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full test-arm check types fuzz crash soak bench docs pictures lock audit clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/installed  ## Make .venv with everything, once

# Pinned by constraints.txt, so that tomorrow's releases change nothing here.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(SAMPLES)/complete: examples/samples.py examples/samples.txt
	$(PYTHON) examples/samples.py $(SAMPLES)

demo: setup $(SAMPLES)/complete  ## The whole pipeline on real photographs
	$(BIN)/python examples/demo.py $(SAMPLES)

test: setup $(SAMPLES)/complete types  ## Lint, types and all tests that gate a release
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest --numprocesses 4 -m 'not slow and not arm' || { [ $$? -eq 1 ] && $(ALONE); }

test-full: setup $(SAMPLES)/complete  ## Also the tests that take minutes each
	$(BIN)/pytest -m 'not arm'

test-arm: setup $(SAMPLES)/complete  ## The board's code on emulated boards; Debian, as root
	tests/arm/prepare.sh .cache/arm $(LEVEL)
	$(BIN)/pytest --numprocesses 2 -m '$(EMULATED)' tests/arm

check: setup types  ## Format, lint, types
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: setup
	$(BIN)/mypy -p edgecnn
	$(BIN)/mypy --explicit-package-bases tests benchmarks examples

fuzz: setup  ## Feed every parser RUNS=1000000 times with what its branches call for
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz.fuzz --runs $(RUNS)

crash: setup  ## Kill exports, trainings, deployments COUNT=50 times each; as root, fill disks too
	$(BIN)/python -m tests.crash.crash --count $(COUNT)

soak: setup  ## Run live among faults for MINUTES=30: does it grow, lose or die?
	$(BIN)/edgecnn export mobilenet_v2 --int8 --weights random --no-verdict --out .cache/bench/mobilenet_v2-int8
	$(BIN)/python -m benchmarks.soak .cache/bench/mobilenet_v2-int8 --minutes $(MINUTES)

bench: setup $(SAMPLES)/complete  ## Ratios against named peers, as a page; OTHERS=PYTHON has more engines
	$(BIN)/edgecnn export mobilenet_v2 --int8 --weights random --no-verdict --out .cache/bench/mobilenet_v2-int8
	$(BIN)/edgecnn export mobilenet_v2 --fp32 --format onnx --weights random --no-verdict \
		--out .cache/bench/mobilenet_v2-fp32
	$(BIN)/edgecnn export efficientnet_lite0 --int8 --no-verdict --out .cache/bench/efficientnet_lite0-int8
	$(BIN)/python -m benchmarks.bench .cache/bench/mobilenet_v2-int8 .cache/bench/mobilenet_v2-fp32 \
		.cache/bench/efficientnet_lite0-int8 $(SAMPLES)/photographs/imagenet_18_317.jpg \
		$(if $(OTHERS),--others $(OTHERS))

docs: setup  ## The documentation as a site, in .cache/site; served, it can be searched
	$(BIN)/zensical build --strict

pictures: setup $(SAMPLES)/complete  ## Those of the README and the documentation, from real runs
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pictures]'
	$(BIN)/python examples/pictures.py $(SAMPLES)

lock: setup  ## Write requirements-board.txt: versions and hashes of a board's installation
	$(BIN)/pip install --quiet --disable-pip-version-check pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --extra mqtt --constraint constraints.txt \
		--output-file requirements-board.txt pyproject.toml

audit: setup  ## Known vulnerabilities of the pinned packages; needs internet
	$(BIN)/pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

clean:  ## Remove everything that make made
	rm -rf $(VENV) .cache demo build dist *.egg-info
