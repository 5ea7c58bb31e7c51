# Each target makes its own environment: nothing needs to be prepared.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test bench check report peers clean

demo: $(READY)
	$(BIN)/fastconv demo

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist loadfile

bench: $(READY)
	$(BIN)/pytest benchmarks --benchmark-enable --benchmark-autosave

check: $(READY)
	$(BIN)/fastconv check --seconds 60

# Measures again and rewrites the tables and figures of the README.
report: $(READY)
	$(BIN)/python -m benchmarks.report

# PyTorch and ONNX Runtime, for comparison.
peers: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[peers]'

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $(READY)

clean:
	rm -rf .venv demo-output .benchmarks
