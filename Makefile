PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMP  := $(VENV)/.installed
PLUGINS := plugins/deepsdf plugins/gaussians plugins/gs_pull plugins/hashgrid plugins/idr plugins/lipschitz plugins/mesh plugins/n4de plugins/velocity plugins/volume

export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: install demo test test-all lint docs figures clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable '.[dev]' $(PLUGINS:%=--editable %)
	touch $@

demo: install
	$(BIN)/neuralfw run gs_pull

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

test-all: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile -m ''

lint: install
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

docs: install
	$(PIP) install --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m mkdocs build --strict --quiet

figures: install
	$(BIN)/python tools/figures.py

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
