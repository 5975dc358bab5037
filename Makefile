# `make demo` and `make test` need python3 (with venv) and make, nothing else.

PYTHON ?= python3
BIN := .venv/bin
DEMO := out/demo
# A process for each processor; a file's tests stay together and share what they load.
PARALLEL := -n logical --dist loadfile

.PHONY: demo test lint types contracts docs slow bench-quick interop check clean

demo: .venv/installed
	$(BIN)/rldf search src/rldf_gym/embedded/target.png --beside q_learning --out $(DEMO) --overwrite
	@echo "Open the report: $(DEMO)/report.html"

test: .venv/installed
	$(BIN)/pytest $(PARALLEL)

slow: .venv/installed
	$(BIN)/pytest -m slow

bench-quick: .venv/installed
	$(BIN)/python -m benchmarks all --quick

# RLlib pins an older gymnasium than the newest, hence an environment of its own.
interop: .venv-interop/installed
	.venv-interop/bin/pytest -m interop tests/interop

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

contracts: .venv/installed
	$(BIN)/lint-imports

# Warnings are errors; the site makes no request to other hosts.
docs: .venv/installed
	$(BIN)/python -m sphinx -c docs -b html -d out/doctrees -E -W --keep-going -q . out/site
	@echo "Open the site: out/site/index.html"

check: lint types contracts docs test slow

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable ".[dev]"
	touch $@

.venv-interop/installed: pyproject.toml .venv/installed
	test -x .venv-interop/bin/python || $(BIN)/python -m venv .venv-interop
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-interop/bin/python --editable ".[dev,interop]"
	touch $@

clean:
	rm -rf .venv .venv-interop out runs
