# make demo   set up, train the shipped model on the shipped data, leave a report in demo/
# make test   set up, lint, type-check and test
# make test-versions  a slice of the tests under Python 3.12 to 3.14 and the newest packages
# make setup  .venv with all that development needs

PYTHON ?= python3
BIN := .venv/bin
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -c GPU || true)
# Without a GPU, PyTorch's own index has the build for CPUs, which is 20 times smaller.
TORCH_INDEX := $(if $(filter-out 0,$(HAS_GPU)),,--extra-index-url https://download.pytorch.org/whl/cpu)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# Python compiles what it imports, and keeps it; pip would compile all files of all packages, 50 s on one core.
INSTALL := $(PIP) install --no-compile
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all test-versions lint docs clean
.DELETE_ON_ERROR:

.venv/torch: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "TexLens needs Python 3.11 or newer; name it: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --upgrade 'pip>=25.3,<27' # resolves in 15 s what pip 23 resolves in 40
	$(INSTALL) --retries 0 $(TORCH_INDEX) torch==2.13.0 || $(INSTALL) torch==2.13.0
	touch $@

.venv/run: .venv/torch
	$(INSTALL) -c constraints.txt -e .
	touch $@

.venv/dev: .venv/torch
	$(INSTALL) -c constraints.txt -e '.[dev,docs]'
	touch .venv/run $@

setup: .venv/dev

demo: .venv/run
	rm -rf demo
	$(BIN)/texlens train nano_latex-ocr_lora --set output=demo --set name=run
	$(BIN)/texlens compare demo/run --json > demo/compare.json
	@echo "report: $(CURDIR)/demo/run/report.html"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check --summarize-errors
	$(BIN)/lint-imports

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# A slice of the suite under other Pythons, with the newest torch and transformers; versions that are not there are skipped.
test-versions:
	tests/versions.sh 3.12 3.13 3.14

test-all: test test-versions
	THOROUGH=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/test_recipes.py tests/integration/test_transformers_4.py \
		tests/integration/test_extending.py tests/integration/test_training.py \
		tests/unit/data tests/unit/workflows/sweep/test_run.py tests/unit/planner/test_hybrid_plans.py
	WHEEL=1 $(BIN)/python -m pytest -q tests/integration/test_wheel.py
	BOARD=1 TEXLENS_BROWSER_PATIENCE_S=900 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 3000 tests/integration/board
	TUTORIALS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/classic_recipes tests/integration/test_notebook.py
	VLLM_SOURCE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/unit/exporting/quantization/test_compressed_tensors.py tests/unit/inference/vllm
	FULL_EXPORTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/test_onnx_export.py
	FIT_NANO=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/test_qwen3_5_nano.py tests/integration/test_qwen3_5_runs.py
	KILL_SEEDS=12 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 6000 tests/integration/test_kills.py tests/unit/cli/using/test_reading_processes.py
	BOARD_LEARN=1 TEXLENS_BROWSER_PATIENCE_S=900 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 3000 tests/integration/test_board_rows.py
	DOCS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/test_docs_commands.py
	HOSTILE_CASES=20 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 3000 tests/integration/test_hostile_input.py
	OBJECTIVES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/test_objectives.py
	COMPILE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/unit/kernels/test_compilation.py tests/unit/kernels/test_backends.py
	MIXTURES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integration/test_quantized_mixture.py tests/unit/models/packed/test_experts.py
	DIVIDED=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 3000 tests/integration/test_divided.py
	DEEPSPEED=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --timeout 3000 tests/integration/test_deepspeed.py
	ALL_FORMULAS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/unit/latex/canonical/test_form.py

docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .versions build dist site demo
