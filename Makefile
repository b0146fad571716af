# `make demo` and `make test` do everything on a fresh machine with Python ≥ 3.11.
# On a CPU-only machine point pip at PyTorch's CPU wheels, or it takes the CUDA build:
#   make demo PIP_OPTIONS="--extra-index-url <the CPU wheel index of pytorch.org's install page>"
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_OPTIONS ?=
STAMP := $(VENV)/.installed

.PHONY: demo test lint format install clean

demo: $(STAMP)
	@echo "Training, auditing and reporting on four digits models; one of them is meant to fail its gate."
	@$(BIN)/raiaudit run examples/digits.yaml; code=$$?; \
	if [ $$code -le 1 ]; then \
		echo "The audit is done (exit code $$code: $$([ $$code -eq 0 ] && echo every gate passed || echo a gate failed, as it should for a model without a defence))."; \
	else exit $$code; fi

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("raiaudit needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
