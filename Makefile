# `make demo` and `make test` need python3 (with venv) and make, nothing else.

PYTHON ?= python3
BIN := .venv/bin
DEMO := out/demo

.PHONY: demo test lint types contracts slow check clean

demo: .venv/installed
	$(BIN)/rldf search src/rldf_gym/embedded/target.png --seed 0 --out $(DEMO) --overwrite

test: .venv/installed
	$(BIN)/pytest

slow: .venv/installed
	$(BIN)/pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

contracts: .venv/installed
	$(BIN)/lint-imports

check: lint types contracts test slow

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv out runs
