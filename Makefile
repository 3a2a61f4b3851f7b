# Each target does the whole set-up on a fresh machine: a virtual environment in .venv, and everything in it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: run test check lint types bench pictures clean

run: $(READY)
	$(BIN)/mlpipeline -r -u

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

check: lint types test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks.queue_overhead
	$(BIN)/python -m benchmarks.large_queue
	$(BIN)/python -m benchmarks.response
	$(BIN)/python -m benchmarks.training_speed
	$(BIN)/python -m benchmarks.model_quality
	$(BIN)/python -m benchmarks.dataflow_speed
	$(BIN)/python -m benchmarks.storage_speed
	$(BIN)/pip install --quiet skorch
	$(BIN)/python -m benchmarks.ensemble_speed
	$(BIN)/python -m benchmarks.ensemble_keras
	$(BIN)/python -m benchmarks.ensemble_workers
	$(BIN)/python -m benchmarks.ensemble_images
	$(BIN)/python -m benchmarks.ensemble_quality
	$(BIN)/python -m benchmarks.reports_speed
	$(BIN)/python -m benchmarks.search_quality

pictures: $(READY)
	MLPIPELINE_PICTURES=$(CURDIR)/docs/pictures $(BIN)/python -m pytest tests/cli/test_picture.py tests/reports/test_report_page.py tests/reports/test_ui_page.py

$(READY): setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
